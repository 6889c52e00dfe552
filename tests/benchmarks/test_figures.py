"""Blocks of a page are made of stored results, between their marks and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.figures import with_blocks
from benchmarks.measuring import Figure
from benchmarks.results import Origin, read_result
from benchmarks.tables import figure_table, quality_table

_ACCURACY = {"measure": "accuracy", "value": 0.8031, "interval": [0.78, 0.826], "at_least": 0.78, "at_most": None}
_ERROR = {"measure": "calibration error", "value": 0.03, "interval": [0.02, 0.04], "at_least": None, "at_most": 0.015}
_OTHERS = {"scikit-learn": 0.75}
QUALITY = {"cfpb5": {"figures": [{**_ACCURACY, "by_others": _OTHERS, "met": True}, {**_ERROR, "met": False}]}}
ORIGIN = Origin("python -m benchmarks --keep", "2031-07-09", "0123456789abcdef", False, {"cores": 2})  # noqa: FBT003
TIME = Figure("process start", "s", (0.5, 0.7, 0.6), at_most=0.8)
RATE = Figure("tickets", "requests/s", (1234.5,), at_least=2000)


def keep(directory: Path, *figures: Figure) -> None:
    ORIGIN.keep(directory, "start", {"rounds": 3, "figures": [figure.as_document() for figure in figures]})


def test_what_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    keep(tmp_path, TIME)

    result = read_result(tmp_path / "start.json")

    assert result.origin == ORIGIN
    assert result.measured["figures"][0]["median"] == 0.6


def test_a_table_says_what_is_reached_and_what_is_not(tmp_path: Path) -> None:
    keep(tmp_path, TIME, RATE)

    rows = figure_table(read_result(tmp_path / "start.json").measured).splitlines()[2:]

    assert rows == [
        "| process start | 0.6 s | 0.5 to 0.7 | at most 0.8: reached |",
        "| tickets | 1,234 requests/s |  | at least 2000: **not reached** |",
    ]


def test_a_figure_that_is_not_there_is_named(tmp_path: Path) -> None:
    keep(tmp_path, TIME)

    with pytest.raises(LookupError, match="no figure begins with 'ticket'"):
        figure_table(read_result(tmp_path / "start.json").measured, ["ticket"])


def test_the_table_of_quality_says_what_is_not_met_and_what_others_reach() -> None:
    rows = quality_table(QUALITY).splitlines()[2:]

    assert rows[0].endswith("| accuracy | 0.803 | 0.780 to 0.826 | 0.750 |  | at least 0.78 | met |")
    assert rows[1].endswith("| at most 0.015 | **not met** |")


def test_a_page_is_filled_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    keep(tmp_path, TIME)
    page = "before\n<!-- figures:start -->\nold\n<!-- figures:end -->\nafter\n"

    filled = with_blocks(page, tmp_path)

    assert filled.startswith("before\n<!-- figures:start -->\n| what | median |")
    assert filled.endswith(
        "`python -m benchmarks --keep`, 2031-07-09 at 0123456, 2 cores, medians of 3 rounds.\n"
        "<!-- figures:end -->\nafter\n"
    )
    assert "\nold\n" not in filled
    assert with_blocks(filled, tmp_path) == filled


def test_a_block_that_has_no_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"'nothing': neither nothing\.json"):
        with_blocks("<!-- figures:nothing -->\n<!-- figures:end -->", tmp_path)
