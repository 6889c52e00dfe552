"""What is heard of a ticket, whichever way: values that travel between a helpdesk's own form and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request to ``/hooks/{name}``, as it arrived; names of ``headers`` are in lower case."""

    body: bytes
    headers: Mapping[str, str]
    method: str
    # Path and query, as they were sent.
    target: str
    # Of the client, as TRUSTED_PROXIES lets it be known.
    address: str
    received_ms: int


class UnreadableError(Exception):
    """A delivery, or an answer of an API, is authentic but not what is documented; the message quotes none of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a delivery, or a look through the API, says of one ticket.

    ``title`` and ``description`` are None where they are not said: the ticket has to be fetched then. ``values`` are by
    head and in the helpdesk's own words, None for a field that is empty; heads that nothing is said of are not in it.
    """

    ref: str
    title: str | None = None
    description: str | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)
    # When the ticket came, and when it changed last, by the helpdesk's clock.
    created_ms: int | None = None
    changed_ms: int | None = None
    # Who changed it, in whichever way the helpdesk names people.
    actor: str | None = None
    is_closed: bool | None = None
    # It only tells that something changed: what that is has to be fetched.
    is_hint: bool = False
    # What a conditional write is to quote: an ETag, or the time of the last change as it was written.
    version: str | None = None

    @property
    def has_text(self) -> bool:
        """Whether it can be classified by what is said."""
        return self.title is not None or self.description is not None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written: values in the helpdesk's own words by head, and an internal note, if any.

    ``over`` is what was seen just before, and is all that the values may be written over.
    """

    values: Mapping[str, str]
    note: str | None
    over: Sighting
