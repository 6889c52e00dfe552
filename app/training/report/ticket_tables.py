"""The sections of the report that quote tickets: confident mistakes, and labels that are probably wrong."""

from __future__ import annotations

import numpy as np

from app.charts.html import Html, cell, element, join, paragraph, table
from app.training.report.findings import Findings

_MOST_TICKETS = 15
_MOST_CHARACTERS = 400


def confident_mistakes(findings: Findings, head: str) -> Html:
    """List the wrong validation answers with the highest confidence."""
    title = element("h3", "Wrong, and sure of it")
    validation = findings.measured_on(head)
    probabilities = findings.unseen[head][validation]
    labels = sorted(findings.metrics[head]["per_class"])
    given = [findings.tickets.labels[head][i] for i in validation]
    answers = [labels[i] for i in probabilities.argmax(axis=1)]
    wrong = np.array([answer != label for answer, label in zip(answers, given, strict=True)])
    confidence = np.where(wrong, probabilities.max(axis=1), -1.0)
    listed = np.argsort(-confidence, kind="stable")[: min(_MOST_TICKETS, int(wrong.sum()))]
    rows = [
        [
            *_name(findings, int(validation[i])),
            given[i],
            answers[i],
            f"{confidence[i]:.2f}",
            *_quoted(findings, int(validation[i])),
        ]
        for i in listed.tolist()
    ]
    if not rows:
        return join([title, paragraph("No validation ticket was answered wrongly.")])
    header = _header(findings, "given label", "answered", "confidence")
    caption = f"The {len(rows)} wrong validation answers of the highest confidence, of {int(wrong.sum()):,} wrong ones"
    return join([title, table(caption, header, rows, kind="texts")])


def likely_label_errors(findings: Findings, head: str) -> Html:
    title = element("h3", "Labels worth a second look")
    suspects = findings.suspects[head]
    if not suspects:
        return join([title, paragraph("None was found.")])
    rows = [
        [
            *_name(findings, suspect.ticket),
            suspect.given,
            suspect.suggested,
            f"{suspect.given_probability:.2f}",
            f"{suspect.suggested_probability:.2f}",
            *_quoted(findings, suspect.ticket),
        ]
        for suspect in suspects[:_MOST_TICKETS]
    ]
    sentence = (
        f"{len(suspects):,} tickets have a label that models trained without them firmly contradict. Some of these "
        "labels are wrong, others only look wrong to a model that counts words; all are in label_errors.csv."
    )
    header = _header(findings, "given", "suggested", "p given", "p suggested")
    caption = (
        f"The first {len(rows)}, by how firmly the given label is contradicted; p is the probability of a label by a "
        "model that did not see the ticket"
    )
    return join([title, paragraph(sentence), table(caption, header, rows, kind="texts")])


def _header(findings: Findings, *columns: str) -> list[str]:
    ids = [] if findings.tickets.ids is None else ["ticket id"]
    return ["row", *ids, *columns, *(["ticket"] if findings.show_examples else [])]


def _name(findings: Findings, ticket: int) -> list[str]:
    """Return the row of a ticket in its file, and what the caller knows it by."""
    ids = findings.tickets.ids
    return [findings.tickets.row_name(ticket), *([] if ids is None else [ids[ticket]])]


def _quoted(findings: Findings, ticket: int) -> list[str]:
    if not findings.show_examples:
        return []
    title, description = findings.tickets.titles[ticket].strip(), findings.tickets.descriptions[ticket].strip()
    if len(description) > _MOST_CHARACTERS:
        description = f"{description[:_MOST_CHARACTERS]}…"
    strong = [element("strong", title), " "] if title else []
    # A ticket may be written from right to left, or try to turn the page around.
    return [cell(*strong, description, attributes={"dir": "auto"})]
