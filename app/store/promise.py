"""What travels between the rules of promises and the tables: what is promised, audited, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.store.ids import milliseconds_of

PromiseState = Literal["unproven", "kept", "broken"]


@dataclass(frozen=True, slots=True)
class HeadLabel:
    """What is promised for: a label of a head, or with an empty label the head as a whole."""

    head: str
    label: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What a person said of an answer without having seen it."""

    head: str
    label: str
    is_right: bool
    prediction_id: str


@dataclass(frozen=True, slots=True)
class PromiseEvent:
    """A change of a promise's state, or a reset, from which on audits count anew."""

    event_id: str
    head: str
    label: str
    state: PromiseState
    is_reset: bool

    @property
    def of(self) -> HeadLabel:
        return HeadLabel(self.head, self.label)

    @property
    def at_ms(self) -> int:
        return milliseconds_of(self.event_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A state that a promise should have from now on; ``after`` is the event that it was judged after."""

    of: HeadLabel
    after: str | None
    state: PromiseState
    is_reset: bool = False
    n_audited: int = 0
    n_right: int = 0
    e_value: float = 1.0
