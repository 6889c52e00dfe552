"""What follows from what is heard of a ticket: to classify it, to write back, or that a person judged it; pure.

A value that was neither seen before nor written by this service is a person's change, and so a judgement. So is a value
that somebody chose, or let stand after it was written, when the ticket is closed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from app.store.helpdesk_tickets import HeadState, HelpdeskTicket, NewJob, Step
from app.store.judgement import Remark

if TYPE_CHECKING:
    from app.connectors.connector import Connector
    from app.connectors.sighting import Sighting
    from app.models.classifier import HeadPrediction
    from app.store.prediction_records import Record

# Kinds of jobs.
CLASSIFY: Final = "classify"
WRITE: Final = "write"

Outcome = Literal["classified", "queued", "recorded", "known", "review"]


@dataclass(frozen=True, slots=True)
class Classified:
    """What was answered for a ticket, and the record of it."""

    prediction_id: str
    heads: Mapping[str, HeadPrediction]
    record: Record


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A label that a person should look at, and how sure it is."""

    label: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the job that writes back is to say: labels to set, and labels to suggest, by head."""

    prediction_id: str
    set: Mapping[str, str]
    suggest: Mapping[str, Suggestion]

    def to_json(self) -> str:
        suggest = {head: [suggestion.label, suggestion.confidence] for head, suggestion in self.suggest.items()}
        return json.dumps({"prediction_id": self.prediction_id, "set": dict(self.set), "suggest": suggest})

    @classmethod
    def from_json(cls, text: str) -> Answer:
        content = json.loads(text)
        suggest = {head: Suggestion(*pair) for head, pair in content["suggest"].items()}
        return cls(content["prediction_id"], content["set"], suggest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What steps are decided by: the connector, how tickets are classified, and the labels of the model that serves.

    Tickets that came before ``began_ms`` are of no interest. ``reviewer_of`` makes of whoever did something a name that
    does not tell who it was.
    """

    connector: Connector
    classify: Callable[[Sighting], Classified]
    labels: Mapping[str, Collection[str]]
    reviewer_of: Callable[[str], str]
    began_ms: int

    def step(self, sighting: Sighting, before: HelpdeskTicket | None) -> Step | None:
        """Return what follows from ``sighting``, given what is known of the ticket; None if nothing does."""
        if before is None or before.prediction_id is None:
            is_old = sighting.created_ms is not None and sighting.created_ms < self.began_ms
            return None if is_old else self._first(sighting, before)
        if sighting.is_hint:
            return None if self.connector.api_url is None else Step(before, "queued", job=NewJob(CLASSIFY, "{}"))
        is_late = sighting.changed_ms is not None and sighting.changed_ms < (before.changed_ms or 0)
        return None if is_late else self._next(sighting, before)

    def _first(self, sighting: Sighting, before: HelpdeskTicket | None) -> Step | None:
        if sighting.has_text:
            return self._classified(sighting)
        ticket = HelpdeskTicket()
        if self.connector.api_url is None:
            return Step(ticket, "review")
        # Whoever heard of it first has it fetched.
        return Step(ticket, "queued", job=NewJob(CLASSIFY, "{}")) if before is None else None

    def _classified(self, sighting: Sighting) -> Step:
        classified = self.classify(sighting)
        answer = self._answer(sighting, classified)
        heads = {
            head: HeadState(
                seen=sighting.values.get(head),
                is_said=head in sighting.values,
                answered=prediction.label,
                planned=self._planned(answer, head),
            )
            for head, prediction in classified.heads.items()
        }
        ticket = HelpdeskTicket(classified.prediction_id, heads, is_closed=False, changed_ms=sighting.changed_ms)
        job = NewJob(WRITE, answer.to_json()) if answer.set or answer.suggest else None
        ticket, remark = self._closed(ticket, sighting)
        return Step(ticket, "classified", classified.record, None if ticket.is_closed else job, remark)

    def _answer(self, sighting: Sighting, classified: Classified) -> Answer:
        connector = self.connector
        open_heads = {
            head: prediction
            for head, prediction in classified.heads.items()
            if head in connector.write and connector.is_unset(head, sighting.values.get(head))
        }
        return Answer(
            classified.prediction_id,
            {head: answer.label for head, answer in open_heads.items() if answer.decision == "auto"},
            {
                head: Suggestion(answer.label, round(answer.confidence, 4))
                for head, answer in open_heads.items()
                if answer.decision == "suggest" and connector.on_suggest == "note"
            },
        )

    def _planned(self, answer: Answer, head: str) -> str | None:
        if self.connector.dry_run or head not in answer.set:
            return None
        return self.connector.word_of(head, answer.set[head])

    def _next(self, sighting: Sighting, before: HelpdeskTicket) -> Step | None:
        is_person = sighting.actor not in self.connector.not_people
        heads, labels = dict(before.heads), {}
        for head, value in sighting.values.items():
            state = heads.get(head)
            if state is None or not state.is_said or _same(value, state.planned):
                heads[head] = replace(state or HeadState(), seen=value, is_said=True)
                continue
            is_unset = self.connector.is_unset(head, value)
            if _same(value, state.seen) or (is_unset and _is_of_before_our_write(sighting, state, before)):
                continue
            label = self._label(head, value, state) if is_person else None
            if label not in {None, state.judged}:
                labels[head] = label
            # Where nobody has chosen anything, our own value may still be on its way back to us.
            planned = state.planned if is_unset else None
            heads[head] = replace(state, seen=value, planned=planned, is_changed=True, judged=label or state.judged)
        ticket = replace(before, heads=heads, changed_ms=sighting.changed_ms or before.changed_ms)
        ticket, remark = self._closed(ticket, sighting, labels)
        if ticket == before:
            return None
        return Step(ticket, "known" if remark is None else "recorded", remark=remark)

    def _closed(
        self, ticket: HelpdeskTicket, sighting: Sighting, labels: Mapping[str, str | None] | None = None
    ) -> tuple[HelpdeskTicket, Remark | None]:
        """Return the ticket with what closing it says, and everything that people said, ``labels`` among it."""
        said = {head: label for head, label in (labels or {}).items() if label is not None}
        heads = dict(ticket.heads)
        if sighting.is_closed and not ticket.is_closed:
            for head, state in ticket.heads.items():
                label = self._label(head, state.seen, state) if self._is_chosen(head, state) else None
                if label is not None and label != state.judged:
                    said[head] = label
                    heads[head] = replace(state, judged=label)
        is_closed = ticket.is_closed if sighting.is_closed is None else sighting.is_closed
        ticket = replace(ticket, heads=heads, is_closed=is_closed)
        return ticket, self._remark(ticket, sighting, said)

    def _is_chosen(self, head: str, state: HeadState) -> bool:
        was_written = state.planned is not None and _same(state.seen, state.planned)
        return was_written or state.is_changed or not self.connector.is_unset(head, state.seen)

    def _label(self, head: str, value: str | None, state: HeadState) -> str | None:
        """Return the label of the model that ``value`` stands for, None if there is no such one."""
        label = self.connector.label_of(head, value, answered=state.answered)
        return next((known for known in self.labels.get(head, ()) if _same(known, label)), None)

    def _remark(self, ticket: HelpdeskTicket, sighting: Sighting, labels: Mapping[str, str]) -> Remark | None:
        if not labels:
            return None
        return Remark(
            labels=labels,
            source="helpdesk",
            prediction_id=ticket.prediction_id,
            title=sighting.title if sighting.has_text else None,
            description=sighting.description if sighting.has_text else None,
            reviewer=None if sighting.actor is None else self.reviewer_of(sighting.actor),
        )


def written(ticket: HelpdeskTicket, values: Mapping[str, str], changed_ms: int | None = None) -> HelpdeskTicket:
    """Return what is known of a ticket once ``values`` were written, which changed it at ``changed_ms``.

    What somebody has set since is newer.
    """
    heads = dict(ticket.heads)
    for head, value in values.items():
        if head in heads and not heads[head].is_changed:
            heads[head] = replace(heads[head], seen=value, is_said=True, written_ms=changed_ms)
    return replace(ticket, heads=heads)


def _is_of_before_our_write(sighting: Sighting, state: HeadState, before: HelpdeskTicket) -> bool:
    """Return whether a field that says nothing, where our value is known to be, may have been sent before that was.

    Only over such fields is anything written; what a person set before is another value, and counts whenever it is
    heard of. Two webhooks for one event say the same time, and many say none; only the last of all closes the ticket.
    """
    is_ours = state.planned is not None and _same(state.seen, state.planned)
    written_ms = before.changed_ms if state.written_ms is None else state.written_ms
    is_old = sighting.changed_ms is None or (written_ms is not None and sighting.changed_ms <= written_ms)
    return is_ours and is_old and not sighting.is_closed


def _same(value: str | None, other: str | None) -> bool:
    if value is None or other is None:
        return value is other
    return value.casefold() == other.casefold()
