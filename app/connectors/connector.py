"""One connector: a table of ``CONNECTORS_FILE``, checked, with the secrets that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from app.config import IPNetwork
    from app.connectors.helpdesk import Helpdesk


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """What binds one helpdesk; ``words`` has by head the helpdesk's word for each label.

    Without an ``api_url`` it only listens.
    """

    name: str
    type: str
    helpdesk: Helpdesk
    # Names of the variables are shown where something is wrong with them, their values never.
    secret_names: tuple[str, ...]
    secrets: tuple[bytes, ...] = field(repr=False)
    api_url: str | None
    api_token_name: str | None
    api_token: str = field(repr=False)
    # The heads that are written back.
    write: tuple[str, ...]
    on_suggest: Literal["note", "nothing"]
    words: Mapping[str, Mapping[str, str]]
    unset: Mapping[str, tuple[str | None, ...]]
    # Addresses that deliveries may come from; empty: any.
    allow_from: tuple[IPNetwork, ...]
    # Those whose changes are no judgement: rules and programs, in the helpdesk's way of naming who did something.
    not_people: frozenset[str]
    calls_per_minute: int
    look_seconds: int
    dry_run: bool

    def word_of(self, head: str, label: str) -> str:
        """Return what the helpdesk calls ``label``."""
        return self.words.get(head, {}).get(label, label)

    def label_of(self, head: str, value: str | None, *, answered: str | None) -> str | None:
        """Return the label that ``value`` stands for, or None if there is none or more than one.

        Of several labels with one word, it is the one that was ``answered``.
        """
        if value is None:
            return None
        folded = value.casefold()
        labels = [label for label, word in self.words.get(head, {}).items() if word.casefold() == folded]
        if answered in labels:
            return answered
        if not labels:
            return value
        return labels[0] if len(labels) == 1 else None

    def is_unset(self, head: str, value: str | None) -> bool:
        """Return whether ``value`` is what a field says when nobody has chosen anything."""
        chosen = None if value is None else value.casefold()
        return chosen in {None if unset is None else unset.casefold() for unset in self.unset.get(head, (None,))}

    def ticket_id(self, ref: str) -> str:
        """Return the ``ticket_id`` of a ticket, which no other connector's ticket has."""
        return f"{self.name}:{ref}"
