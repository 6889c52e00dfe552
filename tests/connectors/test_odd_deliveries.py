"""Whatever a helpdesk of any type says, it is read or said to be unreadable, and nothing else happens."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.connectors.helpdesk import Helpdesk, Options
from app.connectors.helpdesks.known import TYPES, helpdesk_class
from app.connectors.sighting import Delivery, Sighting, UnreadableError
from tests.connectors.servers import hubspot, intercom
from tests.connectors.servers.jira import Jira
from tests.connectors.servers.request_tracker import RequestTracker
from tests.connectors.servers.zammad import Zammad

# Names that one helpdesk or another looks for.
_NAMES = re.findall(
    r"\w+",
    "accountId accountType actor article article_ids body changes closed components created data description detail "
    "event events fields group id issue item key message name newValue number objectId occurred_at priority "
    "properties propertyName propertyValue queue queue_slug ref requester state status statusCategory subject "
    "subscriptionType summary ticket ticket_id tickets time title topic type updated updated_at updated_by_id user "
    "value webhookEvent changed custom_fields ",
)
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["jira:issue_updated", "zen:event-type:ticket.created", "2026-11-29T09:00:00Z", "9" * 30, "\ud800"]
    )
)
ANY_JSON = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    max_leaves=25,
)


def made(kind: str) -> Helpdesk:
    found = helpdesk_class(kind)
    fields = {"priority": "priority", "department": "group", **found.fields}
    return found(Options(fields=fields, public_url="https://tickets.example.com"))


def read(helpdesk: Helpdesk, content: object) -> Sequence[Sighting]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    delivery = Delivery(body, {}, "POST", "/hooks/desk", "192.0.2.1", 1_700_000_000_000)
    helpdesk.delivery_id(delivery)
    try:
        return helpdesk.read(delivery)
    except UnreadableError:
        return []


@pytest.mark.parametrize("kind", TYPES)
@settings(max_examples=300)
@given(content=ANY_JSON)
def test_any_json_is_read_or_said_to_be_unreadable(kind: str, content: object) -> None:
    for sighting in read(made(kind), content):
        assert sighting.ref.strip()
        assert all(value is None or isinstance(value, str) for value in sighting.values.values())
        assert isinstance(sighting.title, str | None)
        assert isinstance(sighting.description, str | None)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("body", [b"", b"\xff", b"nothing", b"[" * 100_000, b'{"id": ', b"1e999", b"NaN"])
def test_what_is_no_json_is_said_to_be_unreadable(kind: str, body: bytes) -> None:
    assert read(made(kind), body) == []


def _paths(content: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401 - JSON
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(deeper for name, value in inside for deeper in _paths(value, (*path, name)))]


def _with(content: Any, path: tuple[str | int, ...], value: object) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return value
    copy = list(content) if isinstance(content, list) else dict(content)
    copy[path[0]] = _with(content[path[0]], path[1:], value)
    return copy


JIRA, ZAMMAD, INTERCOM = Jira("t0ken"), Zammad("t0ken"), intercom.Intercom("t0ken")
TRACKER = RequestTracker("t0ken")
DELIVERIES = {
    "hubspot": [hubspot.event("7"), hubspot.changed("7", "hs_ticket_priority", "LOW")],
    "intercom": json.loads(intercom.signed("s3cret", "ticket.created", INTERCOM.shape(INTERCOM.create("a", "b"))).body),
    "jira": json.loads(JIRA.webhook(JIRA.create("down", "invoice"), secret=None).body),
    "request-tracker": json.loads(
        TRACKER.webhook(TRACKER.create("down", ("text/plain", "invoice"), Team="Billing"), "s3cret").body
    ),
    "zammad": json.loads(ZAMMAD.webhook(ZAMMAD.create("down", "invoice"), secret=None).body),
}


@pytest.mark.parametrize("kind", DELIVERIES)
@settings(max_examples=300)
@given(data=st.data(), value=ANY_JSON)
def test_a_delivery_with_one_odd_part_is_read_or_said_to_be_unreadable(
    kind: str, data: st.DataObject, value: object
) -> None:
    path = data.draw(st.sampled_from(_paths(DELIVERIES[kind])))

    for sighting in read(made(kind), _with(DELIVERIES[kind], path, value)):
        assert sighting.ref.strip()
        assert isinstance(sighting.title, str | None)
