"""Drift in plain words: what changed most, and by how much, the worst first."""

from __future__ import annotations

from app.insights.drift_report import MIN_TICKETS, DriftReport, features_of, report_of
from app.models.reference import HeadReference, Histogram, LabelCounts, Reference
from app.web.console.quality_words import drift_in_words, level_in_words

REFERENCE = Reference(
    text_length=Histogram((100.0, 1_500.0), (500, 300, 200)),
    unknown_share=Histogram((0.05,), (900, 100)),
    heads={"priority": HeadReference(LabelCounts(("High", "Low"), (500, 500)), Histogram((0.5, 0.995), (1, 1, 998)))},
)


def test_nothing_is_said_of_too_few_tickets() -> None:
    assert drift_in_words(DriftReport(is_available=True, n_tickets=MIN_TICKETS - 1)) == []


def test_what_changed_most_is_named_with_its_shares_the_worst_first() -> None:
    #         up to 100, 1,500, more | known, unknown | High, Low | confidence
    counts = [0, 100, 900, 900, 100, 500, 500, 1, 1, 998]

    rows = drift_in_words(report_of(features_of(REFERENCE), counts))

    assert rows[0].name == "Length of tickets"
    assert (rows[0].level_name, rows[0].changed) == ("Very different", "more than 1,500 characters")
    assert (rows[0].share_then, rows[0].share_now) == (0.2, 0.9)
    assert {row.level_name for row in rows[1:]} == {"As at training"}


def test_labels_are_named_as_they_are_and_confidences_as_shares() -> None:
    counts = [500, 300, 200, 900, 100, 900, 100, 998, 1, 1]

    changed = {row.name: row.changed for row in drift_in_words(report_of(features_of(REFERENCE), counts))}

    assert changed["priority: what is answered"] in {"High", "Low"}
    assert changed["priority: how sure the answers are"] in {"up to 50 %", "more than 99.5 %"}


def test_every_level_has_words() -> None:
    assert level_in_words("watch") == "Somewhat different"
