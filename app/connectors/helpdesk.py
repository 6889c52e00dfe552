"""The interface that every helpdesk is behind: how it signs, what it says, and how it is written to; one file each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.signatures import has_secret

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery, Sighting
    from app.connectors.signatures import Secrets

PRIORITY: Final = "priority"
DEPARTMENT: Final = "department"


class OptionError(Exception):
    """What a connector's table says is not what its helpdesk needs; the message names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the table of a connector says that only its helpdesk understands.

    ``fields`` has the helpdesk's field of each head; ``public_url`` is this service's address as the helpdesk knows it;
    ``others`` are tables and values that only some helpdesks have.
    """

    fields: Mapping[str, str]
    public_url: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)


class Helpdesk(ABC):
    """One kind of helpdesk. Reading is pure; what is ``async`` asks the helpdesk's API, through ``api`` alone.

    Values are always text in the helpdesk's own words, also where it has numbers, and None where a field is empty.
    """

    # Its own words for the usual labels, by head. Other labels are written as they are called.
    words: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    # The field of each head, where it is always the same.
    fields: ClassVar[Mapping[str, str]] = {}
    # What a field says, by head, when nobody has chosen anything.
    unset: ClassVar[Mapping[str, Sequence[str | None]]] = {PRIORITY: (None,), DEPARTMENT: (None,)}
    # What it calls those who change tickets and are no people.
    not_people: ClassVar[frozenset[str]] = frozenset()
    # What its API admits with room to spare.
    calls_per_minute: ClassVar[int] = 60
    # How many calls it takes to read a ticket, to write into it and to add a note.
    calls_of_a_job: ClassVar[int] = 2
    # How often changes are looked for; 0 where there is no way to ask for them.
    look_seconds: ClassVar[int] = 300
    # Which further keys its table may have.
    option_names: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, options: Options) -> None:
        """Take what its table says; raise ``OptionError``."""
        self.options = options

    # What arrives

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        """Return whether the delivery carries one of ``secrets``, or is signed with it where the helpdesk signs."""
        return has_secret(delivery, secrets)

    def signed_content(self, delivery: Delivery) -> bytes:
        """Return what nobody else can change: the same content twice is one delivery, whatever stands around it."""
        return delivery.body

    def delivery_id(self, delivery: Delivery) -> str | None:
        """Return the helpdesk's own id of the delivery, the same when it is tried again; None if it has none."""
        del delivery
        return None

    @abstractmethod
    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        """Return what the delivery says, of each ticket once; raise ``UnreadableError``.

        What is of no interest, such as a test of the connection, is no sighting.
        """

    # What is asked and written

    @abstractmethod
    def authorization(self, token: str) -> Mapping[str, str]:
        """Return the headers by which the API knows who is asking; ``token`` is what ``api_token_env`` holds."""

    @abstractmethod
    async def fetch(self, api: Api, ref: str) -> Sighting:
        """Return the ticket as it is now, with its text; raise ``RefusedError`` with status 404 if it is gone."""

    @abstractmethod
    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        """Write ``change``, where the helpdesk can do that only over what was seen, with one call if it can.

        Return when the ticket changed by that, in milliseconds of the helpdesk's clock, or None if it does not tell:
        then what it said before and is heard of later looks like a person's change. Raise ``ConflictError`` when
        somebody was faster.
        """

    @abstractmethod
    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        """Return whether a note with ``marker`` in it is there already; asked when an attempt was cut off."""

    def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        """Yield tickets that changed since then, oldest change first, with their text."""
        del api, since_ms
        return _nothing()

    @abstractmethod
    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        """Return the values that exist, by head, as far as the helpdesk tells; for ``check``, which it answers."""

    def lacking(self, *, writes: bool, notes: bool) -> Sequence[str]:
        """Return the keys that its table lacks for writing values or notes, where it has to say how."""
        del writes, notes
        return ()

    @property
    def can_be_checked(self) -> bool:
        """Whether ``choices`` asks the helpdesk anything."""
        return True


async def _nothing() -> AsyncIterator[Sighting]:
    none: tuple[Sighting, ...] = ()
    for sighting in none:
        yield sighting
