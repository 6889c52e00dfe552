from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.artifacts import ArtifactError, read_manifest, write_version
from app.models.classifier import METADATA_NAME
from app.models.versions import VersionName
from app.serving.version_summary import (
    CARD_NAME,
    METRICS_NAME,
    REPORT_NAME,
    HeadSummary,
    MeasuredShare,
    VersionShelf,
    VersionSummary,
)
from data.generate_dataset import DEFAULT_ROWS
from tests.processes import ROOT

ONE = VersionName.parse("1.0.0")
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES_OF_FIGURES = st.sampled_from(
    (
        *("trained_at", "split", "n_tickets", "promised_precision", "priority", "summary", "accuracy", "intervals"),
        *("decisions", "auto", "coverage", "precision", "precision_interval"),
    )
)
LIKE_FIGURES = st.recursive(
    ANY_JSON,
    lambda inner: st.dictionaries(NAMES_OF_FIGURES, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)


def summary_of(base_dir: Path, **files: bytes) -> VersionSummary:
    named = {name.replace("__", "."): content for name, content in files.items()}
    write_version(base_dir / "v1.0.0", named, force=True)
    return VersionShelf(base_dir).summary(ONE)


def test_the_names_are_those_that_training_writes() -> None:
    assert {METRICS_NAME, REPORT_NAME, CARD_NAME} <= read_manifest(ROOT / "models" / "v1.0.0").files.keys()


def test_the_version_that_comes_with_the_project_says_what_its_card_says() -> None:
    summary = VersionShelf(ROOT / "models").summary(ONE)

    directory = ROOT / "models" / "v1.0.0"
    metadata, metrics = (json.loads((directory / name).read_text()) for name in (METADATA_NAME, METRICS_NAME))
    assert summary.problem is None
    assert summary.n_tickets == metadata["split"]["n_tickets"] == DEFAULT_ROWS
    assert (summary.has_report, summary.has_card) == (True, True)
    assert summary.trained_at == datetime.fromisoformat(metadata["trained_at"])
    for head in summary.heads:
        figures = metrics[head.head]
        assert (head.n_tickets, head.promised) == (figures["n_tickets"], 0.95)
        assert head.answered_alone == figures["decisions"]["auto"]["coverage"]
        assert head.right is not None
        assert head.right.share == figures["summary"]["accuracy"]
        assert [head.right.low, head.right.high] == figures["intervals"]["accuracy"]


def test_a_version_that_was_not_measured_says_what_it_promises_and_no_more(tmp_path: Path) -> None:
    metadata = {"trained_at": "2026-11-25T02:06:25+02:00", "promised_precision": {"team": None, "priority": 0.9}}

    summary = summary_of(tmp_path, model_metadata__json=json.dumps(metadata).encode())

    assert summary.trained_at == datetime(2026, 11, 25, 0, 6, 25, tzinfo=UTC)
    assert summary.heads == (
        HeadSummary("team", None, None, None, None, None),
        HeadSummary("priority", None, None, None, None, 0.9),
    )
    assert not summary.is_measured
    assert not summary.has_report


def test_an_interval_that_is_none_leaves_the_share(tmp_path: Path) -> None:
    for interval in ([0.8], [0.8, "x"], None, [0.8, 7]):
        metrics = {"priority": {"summary": {"accuracy": 0.85}, "intervals": {"accuracy": interval}}}

        summary = summary_of(tmp_path, metrics__json=json.dumps(metrics).encode())

        assert summary.heads[0].right == MeasuredShare(0.85)


@pytest.mark.parametrize(
    "content", [b"", b"[1,", b"\xff\xfe", b"[" * 100_000, b"null", b"9" * 5_000, b'{"split": 1e999}', b"[NaN]"]
)
def test_a_file_that_is_no_figures_says_nothing_and_breaks_nothing(tmp_path: Path, content: bytes) -> None:
    summary = summary_of(tmp_path, metrics__json=content, model_metadata__json=content)

    assert summary == VersionSummary(ONE)


@given(metadata=LIKE_FIGURES, metrics=LIKE_FIGURES)
def test_whatever_json_a_version_brings_its_figures_are_shares_and_counts_or_unknown(
    tmp_path_factory: pytest.TempPathFactory, metadata: object, metrics: object
) -> None:
    summary = summary_of(
        tmp_path_factory.getbasetemp(),
        model_metadata__json=json.dumps(metadata).encode(),
        metrics__json=json.dumps(metrics).encode(),
    )

    assert summary.problem is None
    shares = [share for head in summary.heads for share in (head.promised, head.answered_alone) if share is not None]
    for head in summary.heads:
        for measured in (head.right, head.right_alone):
            if measured is not None:
                shares += [value for value in (measured.share, measured.low, measured.high) if value is not None]
    assert all(0 <= share <= 1 for share in shares)


def test_what_was_altered_or_is_not_there_is_a_problem_that_says_no_place(tmp_path: Path) -> None:
    summary_of(tmp_path, metrics__json=b"{}", model_metadata__json=b"{}")
    (tmp_path / "v1.0.0" / METRICS_NAME).write_bytes(b"[]")
    (tmp_path / "v2.0.0").mkdir()

    altered = VersionShelf(tmp_path).summary(ONE).problem
    empty = VersionShelf(tmp_path).summary(VersionName.parse("2.0.0")).problem

    assert altered is not None
    assert altered.startswith("v1.0.0/metrics.json has SHA-256")
    assert empty == "v2.0.0/manifest.json cannot be read: No such file or directory"


def test_a_version_that_is_not_trusted_is_a_problem(tmp_path: Path) -> None:
    def trust_nothing(_: Path, __: bytes) -> None:
        raise ArtifactError("not signed")

    write_version(tmp_path / "v1.0.0", {METADATA_NAME: b"{}", REPORT_NAME: b"<p>"})
    shelf = VersionShelf(tmp_path, check_manifest=trust_nothing)

    assert shelf.summary(ONE).problem == "not signed"
    with pytest.raises(ArtifactError, match="not signed"):
        shelf.document(ONE, REPORT_NAME)


def test_a_report_is_handed_out_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    summary_of(tmp_path, report__html=b"<p>figures</p>")
    shelf = VersionShelf(tmp_path)

    assert shelf.document(ONE, REPORT_NAME) == b"<p>figures</p>"
    assert shelf.document(ONE, CARD_NAME) is None
    (tmp_path / "v1.0.0" / REPORT_NAME).write_bytes(b"<p>forgery</p>")
    with pytest.raises(ArtifactError, match="SHA-256"):
        shelf.document(ONE, REPORT_NAME)


def test_a_file_that_is_too_large_to_be_shown_is_not_read(tmp_path: Path) -> None:
    summary_of(tmp_path, report__html=b" " * ((8 << 20) + 1))

    with pytest.raises(ArtifactError, match="larger than"):
        VersionShelf(tmp_path).document(ONE, REPORT_NAME)


def test_versions_are_none_where_there_is_no_directory(tmp_path: Path) -> None:
    assert VersionShelf(tmp_path / "elsewhere").versions() == []
