"""Models of any size that nobody had to train: the default model's terms, then made-up ones; all weights are random."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.models.artifacts import verify, write_version
from app.models.classifier import METADATA_NAME, TicketClassifier
from app.models.features import BlockSpec, FeatureSpec
from app.models.model_data import ModelData, from_files, to_files
from app.models.self_test import SELF_TEST_NAME, self_test_bytes
from benchmarks.measuring import ROOT

_DEFAULT_MODEL = ROOT / "models" / "v1.0.0"
_BIGRAMS_A_WORD = 4


def synthetic_model(n_features: int) -> ModelData:
    """Return a model of words and bigrams in the proportion that real ones have, with the heads of the default one."""
    default = from_files(_DEFAULT_MODEL, verify(_DEFAULT_MODEL))
    known = next(
        terms for block, terms in zip(default.features.blocks, default.terms, strict=True) if block.kind == "word"
    )
    n_words = n_features // (1 + _BIGRAMS_A_WORD)
    made_up = [f"word{i}" for i in range(n_words)]
    bigrams = [f"word{i} word{(i * (j + 2)) % n_words}" for j in range(_BIGRAMS_A_WORD) for i in range(n_words)]
    terms = tuple(sorted([*dict.fromkeys([*known, *made_up, *bigrams])][:n_features]))
    rng = np.random.default_rng(0)
    n_outputs = sum(len(head.labels) for head in default.heads)
    return ModelData(
        features=FeatureSpec((BlockSpec("word", 1, 2),)),
        terms=(terms,),
        idf=1 + rng.random(len(terms)),
        weights=rng.normal(size=(len(terms), n_outputs)).astype(np.float32),
        heads=default.heads,
    )


def synthetic_classifier(n_features: int) -> TicketClassifier:
    return TicketClassifier(synthetic_model(n_features), {"version": "1.0.0"})


def write_synthetic_version(models_dir: Path, n_features: int) -> Path:
    model = synthetic_model(n_features)
    classifier = TicketClassifier(model, {"version": "1.0.0"})
    files = {
        **to_files(model),
        METADATA_NAME: b'{"version": "1.0.0"}',
        SELF_TEST_NAME: self_test_bytes(classifier.predict_proba, [("Server down", "all users")]),
    }
    directory = models_dir / "v1.0.0"
    write_version(directory, files)
    return directory
