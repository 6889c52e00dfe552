from __future__ import annotations

import csv
from collections import Counter

import pytest
from pydantic import ValidationError

from app.models.schemas import Ticket
from tests.processes import ROOT

DATA = ROOT / "data"
FIELDS = ["title", "description", "customer_email", "priority", "department"]
PRIORITIES = {"Urgent", "High", "Medium", "Low"}
DEPARTMENTS = {"Tech Support", "Billing", "Sales"}
RESERVED_DOMAINS = ("example.com", "example.org", "example.net")


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    assert reader.fieldnames == FIELDS
    return rows


def test_every_pair_of_priority_and_department_has_eight_tickets_or_more() -> None:
    counts = Counter((row["priority"], row["department"]) for row in rows_of("mock_eval.csv"))
    assert counts.keys() == {(priority, department) for priority in PRIORITIES for department in DEPARTMENTS}
    assert min(counts.values()) >= 8


@pytest.mark.parametrize("name", ["mock_eval.csv", "edge_cases.csv"])
def test_every_ticket_is_one_that_the_service_accepts(name: str) -> None:
    for row in rows_of(name):
        document = {field: row[field] for field in FIELDS[:3] if row[field] or field != "customer_email"}
        try:
            Ticket.model_validate(document)
        except ValidationError as error:
            pytest.fail(f"{row['title']!r}: {error}")


@pytest.mark.parametrize("name", ["mock_eval.csv", "edge_cases.csv"])
def test_addresses_belong_to_nobody(name: str) -> None:
    domains = [row["customer_email"].partition("@")[2] for row in rows_of(name) if row["customer_email"]]
    assert all(f".{domain}".endswith(tuple(f".{reserved}" for reserved in RESERVED_DOMAINS)) for domain in domains)


def test_no_ticket_is_there_twice() -> None:
    texts = [
        (row["title"], row["description"]) for name in ("mock_eval.csv", "edge_cases.csv") for row in rows_of(name)
    ]
    assert len(set(texts)) == len(texts)


def test_edge_cases_are_labelled_only_with_labels_of_the_default_heads() -> None:
    rows = rows_of("edge_cases.csv")
    assert {row["priority"] for row in rows} <= PRIORITIES | {""}
    assert {row["department"] for row in rows} <= DEPARTMENTS | {""}
    assert any(not row["priority"] for row in rows)


def test_shouting_does_not_give_the_priority_away() -> None:
    shouting = [row["priority"] for row in rows_of("mock_eval.csv") if (row["title"] + row["description"]).isupper()]
    assert shouting
    assert "Urgent" not in shouting


def test_no_evaluation_ticket_is_in_the_training_data() -> None:
    evaluated = {row["description"].strip().casefold() for row in rows_of("mock_eval.csv")}
    sources = [path for path in DATA.rglob("*") if path.suffix in {".py", ".toml"}]
    texts = [path.read_text(encoding="utf-8").casefold() for path in sources]
    assert texts
    assert not [text for text in evaluated if any(text in source for source in texts)]
