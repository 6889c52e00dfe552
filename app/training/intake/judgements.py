"""What people said of the service's answers, as tickets to learn from: alone, or added to those of a file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from app.tickets.columns import DEFAULT_TARGETS, is_head_name
from app.tickets.input_error import InputError, listed, quoted
from app.training.intake.duplicates import duplicate_notes, text_key
from app.training.intake.enough_labels import FEWEST_LABELS, FEWEST_TICKETS_A_LABEL, check_labels
from app.training.intake.label_names import LabelNames
from app.training.intake.labelled_tickets import NO_ROW, FeedbackCounts, Tickets


@dataclass(frozen=True, slots=True)
class JudgedLabel:
    """The label that a person gave a ticket for one head; ``ticket_id`` is the caller's own, blank if there is none."""

    ticket_id: str
    title: str
    description: str
    head: str
    label: str


def with_judgements(tickets: Tickets, judged: Sequence[JudgedLabel], *, source: str) -> Tickets:
    """Return ``tickets`` with the labels that people gave, the latest last in ``judged``, and no ticket twice.

    A ticket that differs from one of the file in letter case and spaces only is that one, and the judgement counts.
    Labels for heads that ``tickets`` do not have are left out; so are labels that occur once in all. Raise
    ``InputError``, which names ``source``, when a head cannot be learned then.
    """
    return _checked(_merged(tickets, judged), source)


def judgements_beside_texts(judged: Sequence[JudgedLabel], heads: Sequence[str], sha256: str) -> Tickets:
    """Return the tickets of ``judged`` with their labels of ``heads``; there may be none, and a label may be single.

    ``sha256`` is that of the texts that describe the labels.
    """
    nothing = Tickets([], [], {head: [] for head in heads}, None, sha256, (), row_numbers=[])
    return _merged(nothing, judged, fewest=1) if judged else nothing


def judgements_alone(judged: Sequence[JudgedLabel], *, targets: Sequence[str] | None, source: str) -> Tickets:
    """Return the tickets of ``judged`` with the labels of ``targets``, by default of every head with two labels.

    Raise ``InputError``, which names ``source``, when nothing can be learned from them.
    """
    found = {one.head for one in judged if is_head_name(one.head)}
    heads = targets or [*(head for head in DEFAULT_TARGETS if head in found), *sorted(found - set(DEFAULT_TARGETS))]
    unknown = next((head for head in heads if head not in found), None)
    if unknown is not None:
        raise InputError(
            f"{source}: no judged ticket has a label of {quoted(unknown)}; they have {listed(sorted(found))}"
        )
    nothing = Tickets(titles=[], descriptions=[], labels={}, groups=None, sha256="", notes=(), row_numbers=[])
    merged = _merged(replace(nothing, labels={head: [] for head in heads}), judged)
    if targets is None:
        enough = [head for head, labels in merged.given_labels().items() if len(set(labels)) >= FEWEST_LABELS]
        if not enough:
            raise InputError(
                f"{source}: no head has two labels that were each given twice, which is the least to learn from"
            )
        if len(enough) < len(heads):
            merged = _merged(replace(nothing, labels={head: [] for head in enough}), judged)
    return _checked(merged, source)


def _checked(tickets: Tickets, source: str) -> Tickets:
    for head, given in tickets.given_labels().items():
        if not given:
            raise InputError(f"{source}: no label of {quoted(head)} was given twice, which is the least to learn from")
    notes = check_labels(tickets.labels, lambda head, _: f"{source}, {quoted(head)}")
    row_numbers = [tickets.row_number(i) for i in range(len(tickets))]
    notes += duplicate_notes(zip(tickets.titles, tickets.descriptions, strict=True), tickets.labels, row_numbers)
    return replace(tickets, notes=(*tickets.notes, *notes))


@dataclass(slots=True)
class _Judged:
    """A ticket that people judged, in the text of its first judgement, with the latest label of each head."""

    ticket_id: str
    title: str
    description: str
    labels: dict[str, str] = field(default_factory=dict)


def _merged(tickets: Tickets, judged: Sequence[JudgedLabel], *, fewest: int = FEWEST_TICKETS_A_LABEL) -> Tickets:
    by_text, n_file = _by_text(judged, tickets.labels), len(tickets)
    in_file = {
        row: ticket
        for row, text in enumerate(zip(tickets.titles, tickets.descriptions, strict=True))
        if (ticket := by_text.get(text_key(*text))) is not None
    }
    known = set(map(id, in_file.values()))
    new = [ticket for ticket in by_text.values() if id(ticket) not in known]
    labels, notes = {}, [*tickets.notes, *_notes_on_other_heads(judged, tickets.labels)]
    for head, of_file in tickets.labels.items():
        values = [*of_file, *(ticket.labels.get(head, "") for ticket in new)]
        for row, ticket in in_file.items():
            values[row] = ticket.labels.get(head, values[row])
        labels[head], spellings = LabelNames(head, {}).joined(values)
        notes += spellings + _leave_out_rare_labels(head, labels[head], fewest)
    kept = [i for i in range(len(new)) if any(of_head[n_file + i] for of_head in labels.values())]
    counts = FeedbackCounts(n_tickets=len(in_file) + len(kept), n_in_data=len(in_file))
    if n_file:
        notes.append(f"people judged {counts.n_tickets:,} tickets, {counts.n_in_data:,} of which are in the file too")
    with_labels = replace(
        tickets,
        labels={head: of_head[:n_file] + [of_head[n_file + i] for i in kept] for head, of_head in labels.items()},
        notes=tuple(notes),
        feedback=counts,
        sha256=_hash_of(tickets, by_text.values()),
    )
    return _with_texts(with_labels, [new[i] for i in kept])


def _by_text(judged: Sequence[JudgedLabel], heads: Container[str]) -> dict[int, _Judged]:
    by_text: dict[int, _Judged] = {}
    for one in judged:
        if one.head in heads and one.label.strip():
            ticket = _Judged(one.ticket_id, one.title, one.description)
            by_text.setdefault(text_key(one.title, one.description), ticket).labels[one.head] = one.label.strip()
    return by_text


def _notes_on_other_heads(judged: Sequence[JudgedLabel], heads: Container[str]) -> list[str]:
    others = Counter(one.head for one in judged if one.head not in heads)
    return [f"{n:,} judgements of {quoted(head)} were left out: it is not trained" for head, n in others.items()]


def _leave_out_rare_labels(head: str, values: list[str], fewest: int) -> list[str]:
    """Blank the labels of ``values`` that only one ticket has, and return a note on them."""
    counts = Counter(values)
    single = [label for label, n in counts.items() if label and n < fewest]
    for label in single:
        values[values.index(label)] = ""
    return [f"{head}: labels that only one ticket has were left out: {listed(single)}"] if single else []


def _with_texts(tickets: Tickets, new: Sequence[_Judged]) -> Tickets:
    """Return ``tickets``, whose labels are there already, with the texts of ``new`` after their own."""
    n_file = len(tickets)
    ids = tickets.ids
    if ids is None and any(ticket.ticket_id for ticket in new):
        ids = [""] * n_file
    return replace(
        tickets,
        titles=[*tickets.titles, *(ticket.title for ticket in new)],
        descriptions=[*tickets.descriptions, *(ticket.description for ticket in new)],
        groups=tickets.groups and [*tickets.groups, *(f"judged ticket {i}" for i in range(len(new)))],
        domains=tickets.domains and [*tickets.domains, *("" for _ in new)],
        row_numbers=[*map(tickets.row_number, range(n_file)), *(NO_ROW for _ in new)],
        ids=None if ids is None else [*ids, *(ticket.ticket_id for ticket in new)],
    )


def _hash_of(tickets: Tickets, judged: Iterable[_Judged]) -> str:
    content = [[ticket.ticket_id, ticket.title, ticket.description, ticket.labels] for ticket in judged]
    return hashlib.sha256(f"{tickets.sha256}\n{json.dumps(content, ensure_ascii=True)}".encode()).hexdigest()
