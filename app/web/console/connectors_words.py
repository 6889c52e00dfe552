"""How connectors, what they do and what they could not do is said to people; imported where there are connectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from app.connectors.pacing import TRIAL_AFTER
from app.connectors.steps import WRITE, Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.connectors.connector import Connector
    from app.store.connector_views import ConnectorCounts, ConnectorsView, OutboxJob, Standing

# Outcomes of deliveries, in the order of what they tell.
_OUTCOMES: Final = {
    "classified": "classified",
    "queued": "to be fetched first",
    "recorded": "changes by people",
    "known": "nothing new",
    "ignored": "not about a ticket",
    "review": "for a person",
}
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


@dataclass(frozen=True, slots=True)
class State:
    """Whether a helpdesk answers, in a word or two; ``kind`` is how that looks."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownConnector:
    """One connector; ``pause`` and ``next_look`` are how long it is until then, empty where nothing is waited for."""

    name: str
    type: str
    host: str | None
    write: Sequence[str]
    on_suggest: str
    is_dry_run: bool
    look_every: str
    state: State | None
    n_failures: int
    problem: str | None
    pause: str
    looked_until_ms: int | None
    next_look: str
    received: Mapping[str, int]
    n_received: int
    n_odd: int
    counts: ConnectorCounts


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job; ``what`` is what was to be done, ``when`` when it is tried next, and empty where nothing is waited for."""

    job: OutboxJob
    what: Sequence[str]
    when: str


def connector_in_words(connector: Connector, view: ConnectorsView, *, now_ms: int) -> ShownConnector:
    standing, counts = view.standings.get(connector.name), view.counts[connector.name]
    paused_until_ms = 0 if standing is None else standing.paused_until_ms
    next_look_ms = max(paused_until_ms, 0 if standing is None else standing.next_look_ms)
    return ShownConnector(
        name=connector.name,
        type=connector.type,
        host=None if connector.api_url is None else urlsplit(connector.api_url).netloc,
        write=connector.write,
        on_suggest=connector.on_suggest,
        is_dry_run=connector.dry_run,
        look_every=duration(1_000 * connector.look_seconds) if connector.look_seconds else "",
        state=None if connector.api_url is None else _state(standing, counts),
        n_failures=0 if standing is None else standing.n_failures,
        problem=None if standing is None else standing.problem,
        pause=duration(paused_until_ms - now_ms) if paused_until_ms > now_ms else "",
        looked_until_ms=None if standing is None else standing.looked_until_ms,
        next_look=duration(next_look_ms - now_ms) if next_look_ms > now_ms else "",
        received={name: counts.received.get(outcome, 0) for outcome, name in _OUTCOMES.items()},
        n_received=sum(counts.received.values()),
        n_odd=counts.received.get("review", 0),
        counts=counts,
    )


def _state(standing: Standing | None, counts: ConnectorCounts) -> State:
    if standing is not None and standing.problem is not None:
        if standing.n_failures >= TRIAL_AFTER:
            return State("does not answer", "bad")
        return State("failed last time", "doubt")
    has_answered = standing is not None and standing.looked_until_ms is not None
    if has_answered or counts.n_dead or counts.jobs["done"]:
        return State("answers", "good")
    return State("not asked of late", "")


def jobs_in_words(
    jobs: Sequence[OutboxJob], *, connectors: Sequence[Connector], standings: Mapping[str, Standing], now_ms: int
) -> list[ShownJob]:
    """Return those of ``jobs`` that belong to one of ``connectors``."""
    by_name = {connector.name: connector for connector in connectors}
    paused = {name: standing.paused_until_ms for name, standing in standings.items()}
    return [
        ShownJob(job, _what(job, by_name[job.connector]), _when(job, paused.get(job.connector, 0), now_ms))
        for job in jobs
        if job.connector in by_name
    ]


def _what(job: OutboxJob, connector: Connector) -> list[str]:
    """Return what a job is to do, in the helpdesk's own words."""
    if job.kind != WRITE:
        return ["fetch the ticket, to be classified"]
    answer = Answer.from_json(job.content)
    return [
        *(f"set {head} to {connector.word_of(head, label)}" for head, label in answer.set.items()),
        *(f"suggest {suggestion.label} for {head}" for head, suggestion in answer.suggest.items()),
    ]


def _when(job: OutboxJob, paused_until_ms: int, now_ms: int) -> str:
    if job.state != "waiting":
        return ""
    if job.leased_until_ms > now_ms:
        return "under way"
    due_ms = max(job.due_ms, paused_until_ms)
    return f"in {duration(due_ms - now_ms)}" if due_ms > now_ms else "as soon as it is its turn"


def duration(milliseconds: int) -> str:
    """Return 250000 as "4 min", and nothing shorter than a second."""
    for unit_ms, name in _UNITS:
        if milliseconds >= unit_ms:
            return f"{milliseconds // unit_ms}\u00a0{name}"
    return f"1\u00a0{_UNITS[-1][1]}"
