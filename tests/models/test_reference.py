from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.artifacts import ArtifactError, write_version
from app.models.classifier import TicketClassifier
from app.models.label_shares import Confusion
from app.models.reference import (
    MAX_BINS,
    REFERENCE_NAME,
    HeadReference,
    Histogram,
    LabelCounts,
    Reference,
    unknown_share,
)

if TYPE_CHECKING:
    from tests.conftest import WriteModel

COUNTS = st.lists(st.integers(1, 10**9), min_size=2, max_size=8)


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    edges = draw(st.lists(st.floats(-1e9, 1e9), unique=True, max_size=9).map(sorted))
    counts = draw(st.lists(st.integers(1, 10**9), min_size=len(edges) + 1, max_size=len(edges) + 1))
    return Histogram(tuple(edges), tuple(counts))


LABELS = st.dictionaries(st.text(), st.integers(1, 10**9), min_size=1, max_size=6).map(
    lambda counts: LabelCounts(tuple(counts), tuple(counts.values()))
)


@st.composite
def head_references(draw: st.DrawFn) -> HeadReference:
    labels, numbers = draw(LABELS), st.integers(0, 10**9)
    places = st.tuples(*[st.integers(0, len(labels.labels) - 1)] * 2)
    cells = draw(st.none() | st.dictionaries(places, numbers.map(lambda n: n + 1), min_size=1, max_size=9))
    confusion = None
    if cells is not None:
        confusion = Confusion(labels.labels, tuple((*place, cells[place]) for place in sorted(cells)))
    return HeadReference(labels, draw(histograms()), confusion)


HEADS = st.dictionaries(st.text(), head_references(), max_size=3)


@given(reference=st.builds(Reference, histograms(), histograms(), HEADS))
def test_a_reference_is_read_as_it_was_written(reference: Reference) -> None:
    assert Reference.from_bytes(reference.to_bytes()) == reference


@pytest.mark.parametrize(
    "make",
    [
        lambda: Histogram((1.0, 1.0), (1, 1, 1)),
        lambda: Histogram((2.0, 1.0), (1, 1, 1)),
        lambda: Histogram((float("nan"),), (1, 1)),
        lambda: Histogram((1.0,), (1, 1, 1)),
        lambda: Histogram((1.0,), (0, 0)),
        lambda: Histogram((1.0,), (-1, 2)),
        lambda: Histogram(tuple(map(float, range(MAX_BINS))), (1,) * (MAX_BINS + 1)),
        lambda: LabelCounts(("a", "a"), (1, 1)),
        lambda: LabelCounts(("a",), (1, 1)),
        lambda: LabelCounts(tuple(map(str, range(MAX_BINS + 1))), (1,) * (MAX_BINS + 1)),
    ],
)
def test_what_is_no_histogram_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"edges|counts|labels"):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "text_length": [], "heads": 3}', b"\xff"],
)
def test_what_is_no_reference_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Reference.from_bytes(content)


def test_a_ticket_without_words_is_unknown_altogether() -> None:
    assert unknown_share(n_tokens=0, n_unknown_tokens=0) == 1.0
    assert unknown_share(n_tokens=4, n_unknown_tokens=1) == 0.25


def with_reference(directory: Path, content: bytes) -> Path:
    """Write the version ``directory`` again, with a reference."""
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}
    write_version(directory, files | {REFERENCE_NAME: content}, force=True)
    return directory


def test_a_model_brings_its_reference(write_model: WriteModel, tmp_path: Path) -> None:
    histogram = Histogram((0.5,), (1, 2))
    reference = Reference(histogram, histogram, {"priority": HeadReference(LabelCounts(("A",), (3,)), histogram)})

    directory = with_reference(write_model(tmp_path, "1.0.0"), reference.to_bytes())

    assert TicketClassifier.load(directory).reference == reference


def test_a_model_of_before_references_works(write_model: WriteModel, tmp_path: Path) -> None:
    assert TicketClassifier.load(write_model(tmp_path, "1.0.0")).reference is None


def test_a_damaged_reference_refuses_the_model(write_model: WriteModel, tmp_path: Path) -> None:
    directory = with_reference(write_model(tmp_path, "1.0.0"), json.dumps({"format": 7}).encode())

    with pytest.raises(ArtifactError, match=r"reference\.json is not a reference: format 7; this release reads 1"):
        TicketClassifier.load(directory)
