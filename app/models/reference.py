"""What tickets and answers looked like at training: histograms to compare those of production with."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

from app.models.artifacts import ArtifactError, Manifest, read_verified
from app.models.label_shares import Confusion

REFERENCE_NAME = "reference.json"
REFERENCE_FORMAT = 1
# More would be a table, and room for counting them in production is bounded.
MAX_BINS = 1000


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of numbers: bin i holds those above ``edges[i - 1]`` and at most ``edges[i]``; the last has no end."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.edges) + 1 or len(self.counts) > MAX_BINS:
            raise ValueError(f"{len(self.edges)} edges do not part {len(self.counts)} bins")
        if not all(map(math.isfinite, self.edges)) or any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("edges are not finite numbers in rising order")
        _check_counts(self.counts)


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How often each label was predicted."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.counts) or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"{len(self.labels)} labels have {len(self.counts)} counts")
        if len(self.labels) > MAX_BINS:
            raise ValueError(f"{len(self.labels)} labels are more than {MAX_BINS}")
        _check_counts(self.counts)


@dataclass(frozen=True, slots=True)
class HeadReference:
    """The answers of one head to tickets that it was not fitted on; ``confusion`` is None in versions of before it."""

    labels: LabelCounts
    confidence: Histogram
    confusion: Confusion | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """Of the tickets that a model learned from, and of what it would have answered had it not seen them.

    ``text_length`` is in characters of title and description together; ``unknown_share`` is the share of a ticket's
    words that the model does not know, from 0 to 1, and 1 for a ticket without words.
    """

    text_length: Histogram
    unknown_share: Histogram
    heads: Mapping[str, HeadReference]

    def without_confusion(self, heads: Container[str]) -> Reference:
        """Return the reference of a model whose ``heads`` answer otherwise than at training."""
        others = {name: replace(of, confusion=None) if name in heads else of for name, of in self.heads.items()}
        return replace(self, heads=MappingProxyType(others))

    def to_bytes(self) -> bytes:
        document = {
            "format": REFERENCE_FORMAT,
            "text_length": _from_histogram(self.text_length),
            "unknown_share": _from_histogram(self.unknown_share),
            "heads": {
                name: {
                    "labels": dict(zip(head.labels.labels, head.labels.counts, strict=True)),
                    "confidence": _from_histogram(head.confidence),
                    **({} if head.confusion is None else {"labels_by_answer": _from_confusion(head.confusion)}),
                }
                for name, head in self.heads.items()
            },
        }
        return (json.dumps(document, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Reference:
        """Undo ``to_bytes``; raise ``ValueError`` when the content is not a reference."""
        try:
            document = json.loads(content)
            if document["format"] != REFERENCE_FORMAT:
                raise ValueError(f"format {document['format']!r}; this release reads {REFERENCE_FORMAT}")
            heads = {
                str(name): HeadReference(
                    labels := _to_label_counts(head["labels"]),
                    _to_histogram(head["confidence"]),
                    _to_confusion(labels.labels, head["labels_by_answer"]) if "labels_by_answer" in head else None,
                )
                for name, head in document["heads"].items()
            }
            return cls(
                _to_histogram(document["text_length"]),
                _to_histogram(document["unknown_share"]),
                MappingProxyType(heads),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def read_reference(directory: Path, manifest: Manifest) -> Reference | None:
    """Return the reference of a version, None where it has none; raise ``ArtifactError`` when it has a damaged one."""
    if REFERENCE_NAME not in manifest.files:
        return None
    try:
        return Reference.from_bytes(bytes(read_verified(directory, manifest, REFERENCE_NAME)))
    except ValueError as error:
        raise ArtifactError(f"{directory / REFERENCE_NAME} is not a reference: {error}") from error


def unknown_share(*, n_tokens: int, n_unknown_tokens: int) -> float:
    """Return the share of a ticket's words that the model does not know."""
    return n_unknown_tokens / n_tokens if n_tokens else 1.0


def _check_counts(counts: Sequence[int]) -> None:
    if any(count < 0 for count in counts) or not any(counts):
        raise ValueError("counts are not at least 0 with one above it")


def _from_histogram(histogram: Histogram) -> dict[str, object]:
    return {"edges": histogram.edges, "counts": histogram.counts}


def _to_histogram(content: Mapping[str, Sequence[float]]) -> Histogram:
    return Histogram(tuple(map(float, content["edges"])), tuple(map(int, content["counts"])))


def _to_label_counts(content: Mapping[str, int]) -> LabelCounts:
    return LabelCounts(tuple(content), tuple(map(int, content.values())))


def _from_confusion(confusion: Confusion) -> dict[str, dict[str, int]]:
    document: dict[str, dict[str, int]] = {}
    for answer, label, n in confusion.cells:
        document.setdefault(confusion.labels[answer], {})[confusion.labels[label]] = n
    return document


def _to_confusion(labels: tuple[str, ...], content: Mapping[str, Mapping[str, int]]) -> Confusion:
    numbers = {label: number for number, label in enumerate(labels)}
    cells = (
        (numbers[answer], numbers[label], int(n))
        for answer, by_label in content.items()
        for label, n in by_label.items()
    )
    return Confusion(labels, tuple(cells))
