"""A small model, made by hand, in every form that the tests of the core need."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from app.models.artifacts import write_version
from app.models.classifier import METADATA_NAME, TicketClassifier
from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.features import BlockSpec, FeatureSpec
from app.models.likeness import TrainingLikeness
from app.models.model_data import Head, ModelData, to_files
from app.models.self_test import SELF_TEST_NAME, self_test_bytes

LABELS = MappingProxyType({"priority": ("High", "Low", "Medium"), "department": ("Billing", "Tech Support")})


def make_model(
    seed: int = 0, *, labels: Mapping[str, tuple[str, ...]] = LABELS, likeness: TrainingLikeness | None = None
) -> ModelData:
    rng = np.random.default_rng(seed)
    words = ("all", "all users", "café", "down", "invoice", "server", "server down", "straße", "users")
    grams = (" do", "own", "ser", "ver")
    n_features, n_outputs = len(words) + len(grams), sum(map(len, labels.values()))
    idf = 1 + rng.random(n_features)
    weights = rng.normal(size=(n_features, n_outputs)).astype(np.float32)
    tells_tickets = likeness is not None and likeness.least_ticket is not None
    return ModelData(
        features=FeatureSpec(blocks=(BlockSpec("word", 1, 2), BlockSpec("char", 3, 3))),
        terms=(words, grams),
        idf=idf,
        weights=weights if not tells_tickets else np.column_stack([weights, np.ones(n_features, np.float32)]),
        heads=tuple(
            Head(
                name,
                of_head,
                tuple(rng.normal(size=len(of_head)).tolist()),
                DecisionPolicy(dict.fromkeys(of_head, OperatingPoint(auto=0.6, suggest=0.4)), 0.1, 0.5),
            )
            for name, of_head in labels.items()
        ),
        likeness=likeness,
    )


def model_files(model: ModelData, version: str = "1.0.0") -> dict[str, bytes]:
    classifier = TicketClassifier(model, {"version": version})
    return {
        **to_files(model),
        METADATA_NAME: f'{{"version": "{version}"}}'.encode(),
        SELF_TEST_NAME: self_test_bytes(classifier.predict_proba, [("Server down", "all users"), ("", "")]),
        "notes.txt": b"read by nobody",
    }


@pytest.fixture
def model() -> ModelData:
    return make_model()


@pytest.fixture
def version_directory(tmp_path: Path, model: ModelData) -> Path:
    directory = tmp_path / "models" / "v1.0.0"
    write_version(directory, model_files(model))
    return directory
