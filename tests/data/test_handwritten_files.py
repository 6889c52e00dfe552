"""What the files of hand-written tickets that measure the default model, or set its thresholds, have in common."""

from __future__ import annotations

import csv
import itertools
from collections import Counter

import pytest

from app.models.schemas import Ticket
from app.training.intake.labelled_tickets import Intake, read_tickets
from tests.processes import ROOT

pytestmark = pytest.mark.once

LABELLED = ("data/calibration_tickets.csv", "benchmarks/handwritten_dev.csv")
NO_TICKETS = "benchmarks/no_tickets_dev.csv"
PRIORITIES = ("Urgent", "High", "Medium", "Low")
DEPARTMENTS = ("Tech Support", "Billing", "Sales")
SECTORS = ("business", "household", "public")


def rows_of(path: str) -> list[dict[str, str]]:
    with (ROOT / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.mark.parametrize(("path", "least", "most"), [(LABELLED[0], 7, 10), (LABELLED[1], 5, 8)])
def test_each_sector_has_about_as_many_tickets_of_each_pair_of_labels(path: str, least: int, most: int) -> None:
    counts = Counter((row["sector"], row["priority"], row["department"]) for row in rows_of(path))

    assert counts.keys() == set(itertools.product(SECTORS, PRIORITIES, DEPARTMENTS))
    assert least <= min(counts.values()) <= max(counts.values()) <= most


@pytest.mark.parametrize("path", LABELLED)
def test_the_column_sector_does_not_keep_a_file_from_being_read_as_labelled_tickets(path: str) -> None:
    tickets = read_tickets(ROOT / path, Intake(for_training=False))

    assert set(tickets.labels) == {"priority", "department"}
    assert len(tickets.titles) == len(rows_of(path))


def test_no_text_stands_twice_and_every_one_is_one_that_the_service_accepts() -> None:
    texts = [(row["title"], row["description"]) for path in (*LABELLED, NO_TICKETS) for row in rows_of(path)]

    for title, description in texts:
        Ticket.model_validate({"title": title, "description": description})
    assert len({description.casefold() for _, description in texts}) == len(texts)
