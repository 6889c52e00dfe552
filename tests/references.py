"""A version of a small model that says what its training tickets looked like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from app.models.artifacts import write_version
from app.models.label_shares import Confusion
from app.models.reference import REFERENCE_NAME, HeadReference, Histogram, LabelCounts, Reference
from tests.conftest import DEFAULT_HEADS

if TYPE_CHECKING:
    from tests.conftest import WriteModel

HALVES = Histogram((0.5,), (500, 500))


def write_with_reference(
    write_model: WriteModel,
    models_dir: Path,
    version: str = "1.0.0",
    heads: Mapping[str, tuple[str, ...]] = DEFAULT_HEADS,
) -> str:
    directory = write_model(models_dir, version, heads)
    expected = {
        name: HeadReference(LabelCounts(labels, (100,) * len(labels)), HALVES, right_answers(labels))
        for name, labels in heads.items()
    }
    reference = Reference(Histogram((40.0, 80.0), (300, 400, 300)), HALVES, expected)
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}
    write_version(directory, files | {REFERENCE_NAME: reference.to_bytes()}, force=True)
    return str(models_dir)


def right_answers(labels: tuple[str, ...]) -> Confusion:
    return Confusion(labels, tuple((i, i, 100) for i in range(len(labels))))
