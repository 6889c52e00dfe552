"""What the written situations promise, and how files that break the form are refused."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from data.situation_files import Situation, SituationError, load_sectors, load_situations

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PRIORITIES = ("Urgent", "High", "Medium", "Low")
DEPARTMENTS = ("Tech Support", "Billing", "Sales")
HELD_OUT = (
    "data/mock_eval.csv",
    "data/edge_cases.csv",
    "data/calibration_tickets.csv",
    "benchmarks/handwritten_dev.csv",
    "benchmarks/no_tickets_dev.csv",
)


@pytest.fixture(scope="module")
def situations() -> list[Situation]:
    return load_situations()


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def test_each_pair_of_labels_has_at_least_forty_situations(situations: list[Situation]) -> None:
    counts = Counter((one.priority, one.department) for one in situations)

    assert counts.keys() == set(itertools.product(PRIORITIES, DEPARTMENTS))
    assert min(counts.values()) >= 40


def test_each_situation_has_several_wordings_and_no_two_situations_share_one(situations: list[Situation]) -> None:
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for situation in situations:
        assert len(situation.titles) >= 2, situation.id
        assert len(situation.descriptions) >= 3, situation.id
        for wording in situation.descriptions:
            owners[" ".join(words_of(wording))].add(situation.id)

    assert {frozenset(ids) for ids in owners.values() if len(ids) > 1} == set()


def test_nearly_every_situation_is_of_a_sector_that_is_large_enough_to_be_left_out(situations: list[Situation]) -> None:
    sectors = load_sectors()

    counts = Counter(sectors.get(situation.industry, "") for situation in situations)

    assert counts.pop("", 0) <= 0.05 * len(situations), "name the new industries in _sectors.toml"
    assert min(counts.values()) >= 0.03 * len(situations)
    assert max(counts.values()) <= 0.25 * len(situations)


def traces_of(text: str) -> set[tuple[str, ...]]:
    """What gives a copied text away: nine words in a row, or the whole of a text of at least four words."""
    words = words_of(text)
    whole = {tuple(words)} if len(words) >= 4 else set()
    return whole | {tuple(words[at : at + 9]) for at in range(len(words) - 8)}


@pytest.mark.parametrize("path", HELD_OUT)
def test_no_situation_repeats_a_text_that_measures_the_model(path: str, situations: list[Situation]) -> None:
    # Failures name row and situation, not the text: who repairs a situation should not have to read the measuring set.
    held_out: dict[tuple[str, ...], int] = {}
    with (ROOT / path).open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            for text in (row["title"], row["description"]):
                held_out |= dict.fromkeys(traces_of(text), number)

    repeated = {
        f"{path} row {held_out[trace]} in {situation.id}"
        for situation in situations
        for wording in situation.titles + situation.descriptions
        for trace in traces_of(wording)
        if trace in held_out
    }

    assert repeated == set()


def write_situation(directory: Path, **changes: str) -> None:
    fields = {
        "id": '"a-1"',
        "priority": '"Low"',
        "department": '"Sales"',
        "industry": '"any"',
        "titles": '["A wish"]',
        "descriptions": '["I wish for one."]',
    } | changes
    entry = "\n".join(f"{name} = {value}" for name, value in fields.items() if value)
    with (directory / "made_up.toml").open("a", encoding="utf-8") as file:
        file.write(f"[[situation]]\n{entry}\n")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("priority", '" "'),
        ("department", "3"),
        ("industry", ""),
        ("titles", "[]"),
        ("titles", '"one"'),
        ("descriptions", '["fine", ""]'),
    ],
)
def test_a_situation_with_a_missing_or_blank_field_is_refused_by_file_number_and_field(
    field: str, value: str, tmp_path: Path
) -> None:
    write_situation(tmp_path)
    write_situation(tmp_path, **({"id": '"a-2"'} | {field: value}))

    with pytest.raises(SituationError, match=rf"made_up\.toml, situation 2: {field} is "):
        load_situations(tmp_path)


def test_an_id_used_twice_is_refused(tmp_path: Path) -> None:
    write_situation(tmp_path)
    write_situation(tmp_path)

    with pytest.raises(SituationError, match="the id 'a-1' is used twice"):
        load_situations(tmp_path)


def test_a_directory_without_situations_and_a_broken_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SituationError, match=r"no \*\.toml file"):
        load_situations(tmp_path)

    (tmp_path / "broken.toml").write_bytes(b'[[situation]]\nid = "\xff"')
    with pytest.raises(SituationError, match=r"broken\.toml: not readable as TOML"):
        load_situations(tmp_path)
