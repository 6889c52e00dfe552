"""Judged tickets as the bytes of a file: CSV, JSON lines, or the import format of Label Studio."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from app.store.judged_tickets import JudgedTicket
from app.tickets.writing import inert

FORMATS_BY_SUFFIX = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "label-studio"}
FORMATS = tuple(dict.fromkeys(FORMATS_BY_SUFFIX.values()))


def encoded(tickets: Sequence[JudgedTicket], file_format: str) -> bytes:
    """Return the file of ``tickets`` in one of ``FORMATS``."""
    return _ENCODERS[file_format](tickets)


def _csv(tickets: Sequence[JudgedTicket]) -> bytes:
    heads = _heads(tickets)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    of_head = ("", "_answered", "_confidence", "_decision", "_source", "_reviewer")
    writer.writerow(
        ["prediction_id", "ticket_id", "title", "description", *(f"{head}{end}" for head in heads for end in of_head)]
    )
    for ticket in tickets:
        cells = [ticket.prediction_id, ticket.ticket_id, ticket.title, ticket.description]
        for head in heads:
            judgement = ticket.judgements.get(head)
            cells += (
                [""] * len(of_head)
                if judgement is None
                else [
                    judgement.label,
                    judgement.predicted_label,
                    None if judgement.confidence is None else f"{judgement.confidence:.4f}",
                    judgement.predicted_decision,
                    judgement.source,
                    judgement.reviewer,
                ]
            )
        writer.writerow([inert(cell or "") for cell in cells])
    return buffer.getvalue().encode("utf-8", "replace")


def _json_lines(tickets: Sequence[JudgedTicket]) -> bytes:
    return b"".join(
        _json({**_texts(ticket), **_labels(ticket), "judgements": _judgements(ticket)}) for ticket in tickets
    )


def _label_studio(tickets: Sequence[JudgedTicket]) -> bytes:
    tasks = [
        {
            "data": _texts(ticket) | {"text": "\n\n".join(filter(str.strip, (ticket.title, ticket.description)))},
            "annotations": [{"result": _choices(_labels(ticket))}],
            "predictions": [
                {"model_version": ", ".join(sorted(versions)), "result": _choices(answered)}
                for versions, answered in [_answered(ticket)]
                if answered
            ],
        }
        for ticket in tickets
    ]
    return _json(tasks)


def _heads(tickets: Sequence[JudgedTicket]) -> list[str]:
    return sorted({head for ticket in tickets for head in ticket.judgements})


def _texts(ticket: JudgedTicket) -> dict[str, str | None]:
    return {
        "prediction_id": ticket.prediction_id,
        "ticket_id": ticket.ticket_id,
        "title": ticket.title,
        "description": ticket.description,
    }


def _labels(ticket: JudgedTicket) -> dict[str, str]:
    return {head: judgement.label for head, judgement in sorted(ticket.judgements.items())}


def _judgements(ticket: JudgedTicket) -> dict[str, dict[str, object]]:
    return {
        head: {
            "answered": judgement.predicted_label,
            "confidence": judgement.confidence,
            "decision": judgement.predicted_decision,
            "model_version": judgement.model_version,
            "source": judgement.source,
            "reviewer": judgement.reviewer,
            "is_audit": judgement.is_audit,
        }
        for head, judgement in sorted(ticket.judgements.items())
    }


def _answered(ticket: JudgedTicket) -> tuple[set[str], dict[str, str]]:
    judgements = sorted(ticket.judgements.items())
    answered = {head: j.predicted_label for head, j in judgements if j.predicted_label is not None}
    return {j.model_version for _, j in judgements if j.model_version is not None}, answered


def _choices(labels: Mapping[str, str]) -> list[dict[str, object]]:
    return [
        {"from_name": head, "to_name": "text", "type": "choices", "value": {"choices": [label]}}
        for head, label in labels.items()
    ]


def _json(document: object) -> bytes:
    return (json.dumps(document, ensure_ascii=False) + "\n").encode("utf-8", "replace")


_ENCODERS: Mapping[str, Callable[[Sequence[JudgedTicket]], bytes]] = {
    "csv": _csv,
    "jsonl": _json_lines,
    "label-studio": _label_studio,
}
