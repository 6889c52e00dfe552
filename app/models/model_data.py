"""The served model as data: its parts, and their form in files. No file can hold code, and no reader runs any.

``model.json`` has the feature blocks and the heads, ``vocabulary.txt`` one term a line in the order of the features,
``idf.npy`` one float64 a feature, ``weights.npy`` one float32 a feature and output.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.artifacts import ArtifactError, Manifest, read_verified
from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.features import TEXT_FORMAT, BlockSpec, FeatureSpec
from app.models.likeness import TrainingLikeness

MODEL_FORMAT = 2
# Models of the first format do not say what tickets of the training were like.
_READABLE_FORMATS = (1, MODEL_FORMAT)
MODEL_NAME = "model.json"
VOCABULARY_NAME = "vocabulary.txt"
IDF_NAME = "idf.npy"
WEIGHTS_NAME = "weights.npy"


@dataclass(frozen=True, slots=True)
class Head:
    """One predicted label column: its labels, in the order of its outputs, and how its answers are decided."""

    name: str
    labels: tuple[str, ...]
    bias: tuple[float, ...]
    policy: DecisionPolicy


@dataclass(frozen=True, slots=True, eq=False)
class ModelData:
    """Everything that a prediction needs.

    ``idf`` is ``(n_features,)`` float64. ``weights`` is ``(n_features, n_outputs)`` float32: what one unit of a term's
    normalised count adds to each logit, so the product of its idf and its coefficient, calibration included. The
    outputs are the labels of all heads, one head after the other; the features are the terms of all blocks likewise.
    Where ``likeness`` has ``least_ticket``, one more column says how much a term speaks for being a ticket at all.
    """

    features: FeatureSpec
    terms: tuple[tuple[str, ...], ...]
    idf: NDArray[np.float64]
    weights: NDArray[np.float32]
    heads: tuple[Head, ...]
    likeness: TrainingLikeness | None = None

    def __post_init__(self) -> None:
        n_features, n_outputs = sum(map(len, self.terms)), sum(len(head.labels) for head in self.heads)
        n_columns = n_outputs + self.tells_tickets
        if len(self.terms) != len(self.features.blocks):
            raise ValueError(f"{len(self.terms)} vocabularies for {len(self.features.blocks)} feature blocks")
        if self.idf.shape != (n_features,) or self.weights.shape != (n_features, n_columns):
            raise ValueError(
                f"idf {self.idf.shape} and weights {self.weights.shape} do not fit "
                f"{n_features} features and {n_columns} outputs"
            )
        if not (np.isfinite(self.idf).all() and np.isfinite(self.weights).all()):
            raise ValueError("idf and weights must be finite numbers")
        for head in self.heads:
            if len(head.bias) != len(head.labels) or set(head.policy.operating_points) != set(head.labels):
                raise ValueError(f'head "{head.name}" needs one bias and one operating point for each label')

    @property
    def tells_tickets(self) -> bool:
        """Say whether the last column of the weights tells tickets from other texts."""
        return self.likeness is not None and self.likeness.least_ticket is not None


def to_files(model: ModelData) -> dict[str, bytes]:
    """Return the files of ``model`` by name; the same model gives the same bytes."""
    document = {
        "format": MODEL_FORMAT,
        "text_format": TEXT_FORMAT,
        "sublinear_tf": model.features.sublinear_tf,
        "blocks": [
            {**asdict(block), "n_features": len(terms)}
            for block, terms in zip(model.features.blocks, model.terms, strict=True)
        ],
        "heads": [_head_to_document(head) for head in model.heads],
        "likeness": None if model.likeness is None else asdict(model.likeness),
    }
    return {
        MODEL_NAME: (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(),
        VOCABULARY_NAME: "".join(f"{term}\n" for terms in model.terms for term in terms).encode(),
        IDF_NAME: _npy_bytes(model.idf.astype("<f8")),
        WEIGHTS_NAME: _npy_bytes(model.weights.astype("<f4")),
    }


def from_files(directory: Path, manifest: Manifest) -> ModelData:
    """Read a verified model; the arrays are the bytes that were read. Raise ``ArtifactError`` when files do not fit."""
    try:
        document = json.loads(bytes(read_verified(directory, manifest, MODEL_NAME)))
        for name, readable in (("format", _READABLE_FORMATS), ("text_format", (TEXT_FORMAT,))):
            if document[name] not in readable:
                raise ArtifactError(
                    f"{directory / MODEL_NAME} has {name} {document[name]!r}; this release reads "
                    f"{' and '.join(map(str, readable))}: train again"
                )
        likeness = document["likeness"] if document["format"] == MODEL_FORMAT else None
        terms = str(read_verified(directory, manifest, VOCABULARY_NAME), "utf-8").split("\n")[:-1]
        return ModelData(
            features=FeatureSpec(
                blocks=tuple(BlockSpec(b["kind"], b["smallest"], b["largest"]) for b in document["blocks"]),
                sublinear_tf=document["sublinear_tf"],
            ),
            terms=_split(terms, [block["n_features"] for block in document["blocks"]]),
            idf=_npy_array(read_verified(directory, manifest, IDF_NAME), "<f8"),
            weights=_npy_array(read_verified(directory, manifest, WEIGHTS_NAME), "<f4"),
            heads=tuple(_head_from_document(head) for head in document["heads"]),
            likeness=None if likeness is None else TrainingLikeness(**likeness),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{directory} holds no readable model: {type(error).__name__}: {error}") from error


def _head_to_document(head: Head) -> dict[str, object]:
    return {
        "name": head.name,
        "labels": list(head.labels),
        "bias": list(head.bias),
        "ambiguity_margin": head.policy.ambiguity_margin,
        "min_known_share": head.policy.min_known_share,
        "operating_points": {label: asdict(head.policy.operating_points[label]) for label in head.labels},
    }


def _head_from_document(document: Mapping[str, Any]) -> Head:
    points = {
        label: OperatingPoint(auto=point["auto"], suggest=point["suggest"])
        for label, point in document["operating_points"].items()
    }
    policy = DecisionPolicy(MappingProxyType(points), document["ambiguity_margin"], document["min_known_share"])
    return Head(document["name"], tuple(document["labels"]), tuple(document["bias"]), policy)


def _split(terms: list[str], sizes: list[int]) -> tuple[tuple[str, ...], ...]:
    if sum(sizes) != len(terms):
        raise ValueError(f"{VOCABULARY_NAME} has {len(terms)} terms, {MODEL_NAME} says {sum(sizes)}")
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(tuple(terms[end - size : end]) for size, end in zip(sizes, ends, strict=True))


def _npy_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _npy_array(content: memoryview, dtype: str) -> NDArray[Any]:
    """Return the array of an NPY 1.0 file without copying it."""
    header = io.BytesIO(content[:4096])
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError("an array file is not in the NPY format 1.0")
    shape, fortran_order, found = np.lib.format.read_array_header_1_0(header)
    if fortran_order or found != np.dtype(dtype):
        raise ValueError(f"an array file holds {found}, expected {dtype} in C order")
    return np.frombuffer(content, dtype=found, offset=header.tell()).reshape(shape)
