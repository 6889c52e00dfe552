"""The connector of django-helpdesk at the API of a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest

from app.connectors.api import Api, ConflictError, RefusedError, TooLargeError, UnavailableError
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.django_helpdesk import DjangoHelpdesk as Connected
from app.connectors.sighting import Change, Sighting
from tests.helpdesks.conftest import StartHelpdesk
from tests.helpdesks.django_helpdesk import (
    CLOSED,
    NORMAL,
    PROGRAM,
    QUEUES,
    DjangoHelpdesk,
    Ticket,
    password_of,
    token_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one may install it

CONNECTED = Connected(Options(fields=Connected.fields))
TICKET = Ticket("Server is down", "Main server offline")
Found = TypeVar("Found")
HALF_A_MEGABYTE = "x" * 530_000


@pytest.fixture
def helpdesk(start_helpdesk: StartHelpdesk) -> DjangoHelpdesk:
    return start_helpdesk()


def ask(helpdesk: DjangoHelpdesk, question: Callable[[Api], Awaitable[Found]], token: str = token_of(PROGRAM)) -> Found:
    async def asked() -> Found:
        api = Api(helpdesk.url, authorization=CONNECTED.authorization(token))
        try:
            return await question(api)
        finally:
            await api.close()

    return asyncio.run(asked())


def fetch(helpdesk: DjangoHelpdesk, number: int) -> Sighting:
    return ask(helpdesk, lambda api: CONNECTED.fetch(api, str(number)))


def write(helpdesk: DjangoHelpdesk, number: int, change: Change) -> int | None:
    return ask(helpdesk, lambda api: CONNECTED.write(api, str(number), change))


def changed_since(helpdesk: DjangoHelpdesk, since_ms: int) -> list[Sighting]:
    async def listed(api: Api) -> list[Sighting]:
        return [sighting async for sighting in CONNECTED.changed_since(api, since_ms)]

    return ask(helpdesk, listed)


def created(helpdesk: DjangoHelpdesk, ticket: Ticket = TICKET) -> int:
    number = helpdesk.submit_api(ticket)
    assert number is not None
    return number


def comments(ticket: dict[str, Any]) -> list[str]:
    return [followup["comment"] for followup in ticket["followup_set"]]


def test_a_ticket_is_read_as_it_is_now_also_when_it_is_closed(helpdesk: DjangoHelpdesk) -> None:
    number, before_ms = created(helpdesk), time.time() * 1000 - 60_000

    sighting = fetch(helpdesk, number)
    helpdesk.update(number, person="grace", priority=1, queue=QUEUES["Billing"], new_status=CLOSED)
    closed = fetch(helpdesk, number)

    assert (sighting.title, sighting.description, sighting.is_closed) == (TICKET.title, TICKET.description, False)
    assert sighting.values == {"priority": "3", "department": "1"}
    assert closed.values == {"priority": "1", "department": str(QUEUES["Billing"])}
    assert (closed.is_closed, closed.actor) == (True, "2")
    assert sighting.created_ms == closed.created_ms
    assert before_ms < (sighting.changed_ms or 0) < (closed.changed_ms or 0) < time.time() * 1000


def test_values_and_a_note_are_written_and_nothing_else(helpdesk: DjangoHelpdesk) -> None:
    number, note = created(helpdesk), "Team {{ ticket.title }} {% now %} #1: [mark]"
    seen = fetch(helpdesk, number)

    changed_ms = write(helpdesk, number, Change({"priority": "2", "department": "3"}, note, seen))

    ticket = helpdesk.ticket(number)
    assert (ticket["priority"], ticket["queue"], ticket["title"], ticket["status"]) == (2, 3, TICKET.title, 1)
    # As it was meant, and not as a template or as a link to another ticket.
    assert comments(ticket) == [TICKET.description, "Team { { ticket.title }} {% now %} # 1: [mark]"]
    assert ticket["followup_set"][-1]["public"] is False
    # What was told before it is not later, and what people say from then on is.
    assert changed_ms == seen.changed_ms
    assert ask(helpdesk, lambda api: CONNECTED.has_note(api, str(number), "[mark]"))
    assert not ask(helpdesk, lambda api: CONNECTED.has_note(api, str(number), "[another]"))


def test_what_was_closed_since_it_was_read_is_a_conflict(helpdesk: DjangoHelpdesk) -> None:
    number = created(helpdesk)
    seen = fetch(helpdesk, number)
    helpdesk.update(number, new_status=CLOSED)

    with pytest.raises(ConflictError):
        write(helpdesk, number, Change({"priority": "1"}, "a note", seen))

    ticket = helpdesk.ticket(number)
    assert (ticket["priority"], "a note" in comments(ticket)) == (NORMAL, False)


def test_a_value_that_does_not_exist_and_a_ticket_that_is_gone_are_refused(helpdesk: DjangoHelpdesk) -> None:
    number = created(helpdesk)
    seen = fetch(helpdesk, number)

    with pytest.raises(RefusedError, match="answered 400"):
        write(helpdesk, number, Change({"department": "99"}, None, seen))
    with pytest.raises(RefusedError) as gone:
        fetch(helpdesk, number + 1)

    assert gone.value.status == 404


def test_tickets_are_found_by_what_was_said_in_them_since_the_oldest_change_first(helpdesk: DjangoHelpdesk) -> None:
    # More than a page of follow-ups.
    numbers = [created(helpdesk) for _ in range(28)]
    since_ms = max(fetch(helpdesk, number).changed_ms or 0 for number in numbers) + 1
    assert changed_since(helpdesk, since_ms) == []

    helpdesk.update(numbers[5], priority=1)
    helpdesk.close_in_bulk([numbers[0]])
    number = created(helpdesk)
    helpdesk.update(numbers[5], comment="again")

    found = changed_since(helpdesk, since_ms)
    assert [sighting.ref for sighting in found] == [str(numbers[0]), str(number), str(numbers[5])]
    assert found == [fetch(helpdesk, int(sighting.ref)) for sighting in found]
    assert len(changed_since(helpdesk, 0)) == 29


def test_what_changes_during_a_look_is_left_to_the_next_one(helpdesk: DjangoHelpdesk) -> None:
    numbers = [created(helpdesk) for _ in range(3)]

    async def looked(api: Api) -> list[str]:
        found = []
        async for sighting in CONNECTED.changed_since(api, 0):
            found.append(sighting.ref)
            if len(found) == 1:
                helpdesk.update(numbers[1], priority=1)
        return found

    assert ask(helpdesk, looked) == [str(numbers[0]), str(numbers[2])]
    assert [sighting.ref for sighting in changed_since(helpdesk, 0)] == [str(numbers[n]) for n in (0, 2, 1)]


def test_tickets_of_which_the_thread_is_too_long_to_be_read_do_not_hide_others(helpdesk: DjangoHelpdesk) -> None:
    numbers = [created(helpdesk) for _ in range(3)]
    for _ in range(2):
        helpdesk.update(numbers[1], comment=HALF_A_MEGABYTE)

    assert [sighting.ref for sighting in changed_since(helpdesk, 0)] == [str(numbers[0]), str(numbers[2])]
    with pytest.raises(TooLargeError):
        fetch(helpdesk, numbers[1])


def test_the_priorities_that_exist_are_told(helpdesk: DjangoHelpdesk) -> None:
    assert ask(helpdesk, CONNECTED.choices) == {"priority": frozenset("12345")}


def test_a_user_with_a_password_may_ask_and_nobody_else(helpdesk: DjangoHelpdesk) -> None:
    assert ask(helpdesk, CONNECTED.choices, f"{PROGRAM}:{password_of(PROGRAM)}")

    with pytest.raises(UnavailableError, match="answered 403"):
        ask(helpdesk, CONNECTED.choices, "not-a-token")
    assert httpx.get(f"{helpdesk.url}/api/tickets/").status_code == 403
