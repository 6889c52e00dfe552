"""Noise cannot tell the label: neither what is drawn about a writer, nor what is read in the ticket."""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from data.generate_dataset import COMPOSITION_FILE, Situation, Ticket, generate, load_situations

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.once

PRIORITIES = ("Urgent", "High", "Medium", "Low")
DEPARTMENTS = ("Tech Support", "Billing", "Sales")
COMPOSITION = tomllib.loads(COMPOSITION_FILE.read_text(encoding="utf-8"))
ONE_IN_A_MILLION = 4.9  # standard deviations, two-sided


@pytest.fixture(scope="module")
def situations() -> list[Situation]:
    return load_situations()


@pytest.fixture(scope="module")
def tickets() -> list[Ticket]:
    return list(generate(12_000, seed=5))


def pair_of(entry: Ticket | Situation) -> tuple[str, str]:
    return entry.priority, entry.department


def test_the_same_texts_come_out_when_the_labels_are_exchanged(situations: list[Situation]) -> None:
    renamed = dict(zip(PRIORITIES + DEPARTMENTS, PRIORITIES[::-1] + DEPARTMENTS[::-1], strict=True))
    exchanged = [
        dataclasses.replace(one, priority=renamed[one.priority], department=renamed[one.department])
        for one in situations
    ]

    pairs = zip(generate(600, seed=3), generate(600, seed=3, situations=exchanged), strict=True)

    assert all((a.title, a.description, renamed[a.priority]) == (b.title, b.description, b.priority) for a, b in pairs)


def assert_independent_of_labels(tickets: Sequence[Ticket], marked: Sequence[bool], what: str) -> None:
    share = sum(marked) / len(tickets)
    for label_of in (lambda ticket: ticket.priority, lambda ticket: ticket.department, pair_of):
        groups: defaultdict[object, list[bool]] = defaultdict(list)
        for ticket, mark in zip(tickets, marked, strict=True):
            groups[label_of(ticket)].append(mark)
        for label, marks in groups.items():
            deviation = math.sqrt(share * (1 - share) / len(marks))
            distance = abs(sum(marks) / len(marks) - share)
            assert distance <= ONE_IN_A_MILLION * deviation, f"{what} for {label}: {sum(marks)} of {len(marks)}"


def drawn_traits() -> list[str]:
    return [*COMPOSITION["chances"], *(f"{c}_{kind}" for c, kinds in COMPOSITION["weights"].items() for kind in kinds)]


@pytest.mark.parametrize("trait", drawn_traits())
def test_each_trait_of_a_writer_is_drawn_as_often_as_asked_for_under_every_label(
    trait: str, tickets: list[Ticket]
) -> None:
    marked = [trait in ticket.traits for ticket in tickets]

    assert_independent_of_labels(tickets, marked, trait)
    if trait in COMPOSITION["chances"]:
        expected = COMPOSITION["chances"][trait]
    else:
        choice, kind = trait.split("_", 1)
        weights = COMPOSITION["weights"][choice]
        expected = weights[kind] / sum(weights.values())
    assert sum(marked) / len(marked) == pytest.approx(expected, abs=0.02)


def phrases(kind: str) -> list[str]:
    """Patterns of the phrases of one kind; those of a letter or two would be found everywhere."""
    texts = [text.strip() for text in COMPOSITION["texts"][kind] if len(text.strip()) >= 5]
    return [re.sub(r"(\\#)+", r"\\d+", re.sub(r"\\\{\w+\\\}", r".+?", re.escape(text))) for text in texts]


@pytest.mark.parametrize("kind", ["opening", "context", "filler", "tone", "closing", "reference", "disclaimer"])
def test_each_kind_of_phrase_is_read_as_often_under_every_label(
    kind: str, tickets: list[Ticket], situations: list[Situation]
) -> None:
    wordings = {one.id: "\n".join(one.titles + one.descriptions) for one in situations}
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(phrases(kind))})", re.IGNORECASE)
    spoken_for = {situation for situation, text in wordings.items() if pattern.search(text)}
    free = [ticket for ticket in tickets if ticket.situation not in spoken_for]
    marked = [bool(pattern.search(ticket.description)) for ticket in free]

    assert len(free) > len(tickets) / 2
    assert sum(marked) > 0
    assert_independent_of_labels(free, marked, kind)


def test_tone_appears_where_it_does_not_fit_the_label(tickets: list[Ticket]) -> None:
    calm = re.compile(r"no rush|not urgent|low priority|it can wait", re.IGNORECASE)
    loud = re.compile(r"urgent!|asap|emergency|critical", re.IGNORECASE)

    assert any(ticket.priority == "Urgent" and calm.search(ticket.title + ticket.description) for ticket in tickets)
    assert any(ticket.priority == "Low" and loud.search(ticket.title + ticket.description) for ticket in tickets)
