"""How each promise of a version stands by the audits and events in the store; changes of state are recorded there."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from app.feedback.promises import Verdict, judge, level_of_each
from app.store.promise import Change, HeadLabel, PromiseEvent, PromiseState
from app.store.promise_events import (
    Fingerprint,
    count_auto,
    fingerprint_of,
    read_audits,
    read_events,
    record_changes,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from app.feedback.promised import Promise
    from app.store.database import Database
    from app.store.promise import Audit

logger = logging.getLogger(__name__)

_SAID_OF: Final[Mapping[PromiseState, str]] = {
    "broken": "a promised precision is broken",
    "kept": "a promised precision is kept",
    "unproven": "a promised precision is not proven any more",
}


@dataclass(frozen=True, slots=True)
class Served:
    """The version whose promises are looked at, and the level that they share."""

    version: str
    digest: str
    promises: tuple[Promise, ...]
    alpha: float


@dataclass(frozen=True, slots=True)
class Standing:
    """One promise: what audits say of it, and its state, which stays ``broken`` whatever they say later."""

    promise: Promise
    verdict: Verdict
    state: PromiseState
    # In milliseconds since 1970; null for a state that never changed.
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class Standings:
    """All promises of a version as they were when the store had that fingerprint."""

    digest: str
    fingerprint: Fingerprint
    standings: tuple[Standing, ...]


def look(database: Database, served: Served, before: Standings | None) -> Standings:
    """Judge the promises of ``served``, record what changed, and return how they stand; ``before`` if nothing is new.

    Raise ``StoreUnavailableError``.
    """
    with database.reading() as connection:
        # First, so that what comes in between makes another one next time.
        fingerprint = fingerprint_of(connection, served.digest)
        if before is not None and (before.digest, before.fingerprint) == (served.digest, fingerprint):
            return before
        audits = read_audits(connection, served.digest)
        events = read_events(connection, served.digest)
    verdicts = _verdicts(served, audits, events)
    changes = _changes(verdicts, events)
    if changes:
        recorded = record_changes(database, changes, model_version=served.version, model_digest=served.digest)
        _log(served, recorded)
        with database.reading() as connection:
            events = read_events(connection, served.digest)
    return Standings(served.digest, fingerprint, tuple(_standings(served.promises, verdicts, events)))


def reset(database: Database, served: Served, chosen: Collection[HeadLabel]) -> None:
    """Let the audits of before count no more for the promises that are ``chosen``; raise ``StoreUnavailableError``."""
    resets = [Change(of=of, after=None, state="unproven", is_reset=True) for of in chosen]
    recorded = record_changes(database, resets, model_version=served.version, model_digest=served.digest)
    _log(served, recorded)


def n_auto_of(database: Database, served: Served) -> dict[HeadLabel, int]:
    """Return how often each promised answer was ``auto``, of heads too; raise ``StoreUnavailableError``."""
    with database.reading() as connection:
        by_label = count_auto(connection, served.digest)
    counts: defaultdict[HeadLabel, int] = defaultdict(int, by_label)
    for of, n_answers in by_label.items():
        counts[HeadLabel(of.head, "")] += n_answers
    return counts


def _verdicts(served: Served, audits: Sequence[Audit], events: Sequence[PromiseEvent]) -> dict[HeadLabel, Verdict]:
    """Judge each label, and each head by the labels that are still answered alone: one that is not spoils no other."""
    resets = {event.of: event.event_id for event in events if event.is_reset}
    # Ids sort by time: an answer of before a reset counts no more, whenever it is judged.
    counting = [audit for audit in audits if audit.prediction_id > resets.get(HeadLabel(audit.head, audit.label), "")]
    rights: defaultdict[HeadLabel, list[bool]] = defaultdict(list)
    for audit in counting:
        rights[HeadLabel(audit.head, audit.label)].append(audit.is_right)
    verdicts = {promise.of: _judged(served, promise, rights) for promise in served.promises if promise.of.label}
    broken = {event.of for event in _latest(events).values() if event.state == "broken"}
    broken |= {of for of, verdict in verdicts.items() if verdict.state == "broken"}
    for audit in counting:
        head = HeadLabel(audit.head, "")
        if HeadLabel(audit.head, audit.label) not in broken and audit.prediction_id > resets.get(head, ""):
            rights[head].append(audit.is_right)
    heads = {promise.of: _judged(served, promise, rights) for promise in served.promises if not promise.of.label}
    return heads | verdicts


def _judged(served: Served, promise: Promise, rights: Mapping[HeadLabel, Sequence[bool]]) -> Verdict:
    level = level_of_each(served.alpha, len(served.promises))
    return _verdict(bytes(rights.get(promise.of, ())), promise.target, level)


# Of a version with many labels, a new audit is of one, and the others are as they were.
@lru_cache(maxsize=8192)
def _verdict(rights: bytes, target: float, level: float) -> Verdict:
    return judge(np.frombuffer(rights, dtype=np.bool_), target=target, level=level)


def _latest(events: Iterable[PromiseEvent]) -> dict[HeadLabel, PromiseEvent]:
    return {event.of: event for event in events}


def _changes(verdicts: Mapping[HeadLabel, Verdict], events: Iterable[PromiseEvent]) -> list[Change]:
    latest = _latest(events)
    changes = []
    for of, verdict in verdicts.items():
        event = latest.get(of)
        state = "unproven" if event is None else event.state
        if state not in {"broken", verdict.state}:
            changes.append(
                Change(
                    of=of,
                    after=None if event is None else event.event_id,
                    state=verdict.state,
                    n_audited=verdict.n_audited,
                    n_right=verdict.n_right,
                    e_value=verdict.e_value,
                )
            )
    return changes


def _standings(
    promises: Sequence[Promise], verdicts: Mapping[HeadLabel, Verdict], events: Iterable[PromiseEvent]
) -> Iterable[Standing]:
    latest = _latest(events)
    for promise in promises:
        event = latest.get(promise.of)
        if event is None:
            yield Standing(promise, verdicts[promise.of], "unproven", None)
        else:
            yield Standing(promise, verdicts[promise.of], event.state, event.at_ms)


def _log(served: Served, changes: Iterable[Change]) -> None:
    targets = {promise.of: promise.target for promise in served.promises}
    for change in changes:
        said = "a promise begins anew" if change.is_reset else _SAID_OF[change.state]
        logger.log(
            logging.WARNING if change.state == "broken" else logging.INFO,
            said,
            extra={
                "model_version": served.version,
                "head": change.of.head,
                "label": change.of.label or None,
                "target": targets.get(change.of),
                "n_audited": change.n_audited,
                "n_right": change.n_right,
                "e_value": round(change.e_value, 3),
            },
        )
