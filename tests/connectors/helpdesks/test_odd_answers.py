"""Answers of an API that are JSON, and not what is documented: something on the way, or the helpdesk's own trouble."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.connectors.api import Api
from app.connectors.helpdesk import Helpdesk, Options
from app.connectors.helpdesks.known import helpdesk_class
from app.connectors.sighting import UnreadableError
from tests.connectors.servers.raw import raw_server

LOOKING = ("zendesk", "freshdesk", "jira", "zammad", "hubspot", "intercom", "django-helpdesk", "request-tracker")
BODY = b'{"message": "back in a minute"}'
TROUBLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def helpdesk_of(kind: str) -> Helpdesk:
    found = helpdesk_class(kind)
    return found(Options(fields=found.fields, public_url="https://tickets.example.com"))


@pytest.mark.parametrize("kind", LOOKING)
def test_a_look_that_is_told_of_no_list_is_not_one_that_found_nothing(kind: str) -> None:
    async def look(url: str) -> None:
        api = Api(url, authorization={})
        try:
            async for _ in helpdesk_of(kind).changed_since(api, int(time.time() - 60) * 1000):
                pass
        finally:
            await api.close()

    with raw_server(TROUBLE) as server, pytest.raises(UnreadableError):
        asyncio.run(look(f"http://{server.address}"))


# To HubSpot, a property may have no list of options.
@pytest.mark.parametrize("kind", [kind for kind in LOOKING if kind != "hubspot"])
def test_a_check_that_is_told_of_no_list_says_so(kind: str) -> None:
    async def choices(url: str) -> None:
        api = Api(url, authorization={})
        try:
            await helpdesk_of(kind).choices(api)
        finally:
            await api.close()

    with raw_server(TROUBLE) as server, pytest.raises(UnreadableError):
        asyncio.run(choices(f"http://{server.address}"))
