"""Every figure that the pages show was measured: it comes out of a stored result, which says how, when and on what."""

from __future__ import annotations

import re
import subprocess
from datetime import date
from pathlib import Path

import pytest

from benchmarks.figures import BLOCK, PAGES, with_blocks
from benchmarks.results import RESULTS, read_result

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
STORED = sorted(RESULTS.glob("*.json"))
CODE = re.compile(r"^```.*?^```$|^ {7}.*?$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
MEASUREMENT = re.compile(
    r"(?<![\w.,])\d[\d,]*(?:\.\d+)? ?"
    r"(?:ns|ms|s|(?:milli)?seconds?|minutes?|hours?|[KMG]i?B|bytes|times|x|%|points|requests/s"
    r"|(?:(?:requests|tickets) )?(?:a|per) second)(?!\w)"
    r"|(?<![\w.,])0\.\d+(?![\w.])"
    r"|(?:\d ?)?µs"
)
# What the pages say in such a form and nobody measures: limits, settings, time-outs and promises.
LIMITS = {
    "docs/explanations.md": {"50 times"},
    "docs/feedback.md": {"10 seconds"},
    "docs/model.md": {"0.2 points", "0.4", "0.95", "0.1", "96 bytes"},
    "docs/operations.md": {
        *("15 seconds", "3 seconds", "10 seconds", "75 seconds", "5 seconds", "2 seconds", "150 ms", "35 ms", "250 ms"),
        *("15 milliseconds", "30 minutes", "16 KiB", "16 MiB", "32 MiB", "64 MiB", "2 MiB", "512 bytes", "4 KB"),
        *("0.1", "0.25", "1 %"),
    },
    "docs/performance.md": {"2 KB", "4 KB"},
    "docs/security.md": {"4 KB", "1 MB"},
    "load_test.md": {"500 ms"},
}


def outside_of_blocks(page: str) -> str:
    return CODE.sub("", BLOCK.sub("", (ROOT / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_every_result_says_how_when_and_on_what_it_was_measured(path: Path) -> None:
    result = read_result(path)

    assert re.match(r"python -m benchmarks(\.\w+)?\b", result.origin.command)
    assert date.fromisoformat(result.origin.date)
    assert re.fullmatch("[0-9a-f]{40}", result.origin.commit)
    assert not result.origin.uncommitted_changes
    assert result.origin.machine["cores"]
    assert result.measured


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_figures_is_what_the_results_say(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    assert with_blocks(text) == text, "write the blocks anew with `make figures`"


def test_every_result_is_shown() -> None:
    shown = "".join(block[0] for page in PAGES for block in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")))

    for path in STORED:
        name = path.stem.partition("-")[0]
        assert f"<!-- figures:{name} -->" in shown, f"no page shows {path.name}"


@pytest.mark.parametrize("page", PAGES)
def test_no_figure_stands_outside_of_the_blocks(page: str) -> None:
    found = {match[0] for match in MEASUREMENT.finditer(outside_of_blocks(page))}

    assert found == LIMITS.get(page, set()), (
        "a measured figure belongs into a block of benchmarks/figures.py, a limit into LIMITS"
    )


@pytest.mark.parametrize(
    "text",
    ["takes 3 ms", "1.5 times", "90 MB of", "0.873", "12 %", "1,234 requests/s", "9 requests a second", "| µs |"],
)
def test_a_measurement_is_recognised(text: str) -> None:
    assert MEASUREMENT.search(text)


@pytest.mark.parametrize("text", ["version 1.0.0", "127.0.0.1", "3 workers", "2026-11-22", "v0.23.1"])
def test_a_version_an_address_and_a_count_are_no_measurements(text: str) -> None:
    assert not MEASUREMENT.search(text)


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def _whole_history() -> None:
    try:
        answer = git("rev-parse", "--is-shallow-repository")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if answer.stdout.strip() != "false":
        pytest.skip("this is no clone with its whole history")


@pytest.mark.usefixtures("_whole_history")
@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_every_result_comes_from_a_commit_of_this_history(path: Path) -> None:
    commit = read_result(path).origin.commit

    assert git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0, f"{commit} is not in this history"


@pytest.mark.usefixtures("_whole_history")
@pytest.mark.parametrize("page", PAGES)
def test_every_commit_that_a_page_cites_is_one_of_this_history(page: str) -> None:
    for commit in set(re.findall(r"\bat `?([0-9a-f]{7,40})\b", (ROOT / page).read_text(encoding="utf-8"))):
        assert git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0, f"{page} cites {commit}"
