"""What of an answer is still to be written, by what is known of the ticket at the moment of writing; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.connectors.notes import note_text

if TYPE_CHECKING:
    from app.connectors.connector import Connector
    from app.connectors.steps import Answer
    from app.store.helpdesk_tickets import HelpdeskTicket


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written over what was seen, and what is said of the heads that are not."""

    values: Mapping[str, str]
    note: str | None
    said: tuple[str, ...]


def plan(connector: Connector, answer: Answer, ticket: HelpdeskTicket) -> Plan:
    """Return what to write: nothing for a head that somebody has set since, and nothing that stands there already."""
    if ticket.is_closed:
        # Some helpdesks would open it again.
        return Plan({}, None, ("the ticket is closed",))
    # What waited may be older than the table, from which a head was taken out since.
    heads = [head for head in (*answer.set, *answer.suggest) if head in connector.write]
    free = {head for head in heads if _is_free(connector, ticket, head)}
    values: dict[str, str] = {}
    said: list[str] = []
    for head, label in answer.set.items():
        word = connector.word_of(head, label)
        state = ticket.heads.get(head)
        if state is not None and state.seen is not None and state.seen.casefold() == word.casefold():
            said.append(f"{head} is {word} already")
        elif head in free:
            values[head] = word
        elif head not in connector.write:
            said.append(f"{head} is not among what is written")
        else:
            said.append(f"{head} left as somebody set it")
    suggest = {head: suggestion for head, suggestion in answer.suggest.items() if head in free}
    return Plan(values, note_text(suggest, answer.prediction_id) if suggest else None, tuple(said))


def _is_free(connector: Connector, ticket: HelpdeskTicket, head: str) -> bool:
    state = ticket.heads.get(head)
    return state is None or (not state.is_changed and connector.is_unset(head, state.seen))
