"""What django-helpdesk's webhooks say, and that nobody else is let in; its API is tried in ``tests/helpdesks``."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from app.connectors.helpdesk import OptionError, Options
from app.connectors.helpdesks.django_helpdesk import DjangoHelpdesk
from app.connectors.sighting import Delivery, Sighting, UnreadableError
from tests.connectors.connected import SECRET, SURE, StartConnected

HELPDESK = DjangoHelpdesk(Options(fields=DjangoHelpdesk.fields))
BY_FORM = MappingProxyType(
    {"id": 1, "user": None, "date": "2026-11-29T03:07:43.170949-06:00", "message_id": None, "public": True}
)
BY_ADA = MappingProxyType({**BY_FORM, "id": 2, "user": 1, "date": "2026-11-29T09:08:02.556140Z"})
TICKET = MappingProxyType(
    {
        "id": 7,
        "queue": 1,
        "title": "Server is down",
        "description": "Main server offline",
        "submitter_email": "customer@example.com",
        "status": 1,
        "priority": 3,
        "followup_set": [dict(BY_FORM)],
    }
)
CREATED_MS, CHANGED_MS = 1795943263171, 1795943282556


def delivery(content: object) -> Delivery:
    return Delivery(json.dumps(content).encode(), {}, "POST", "/hooks/desk", "127.0.0.1", 0)


def read(ticket: Mapping[str, Any], **others: object) -> Sighting:
    (sighting,) = HELPDESK.read(delivery({"ticket": dict(ticket), "queue_slug": "inbox", **others}))
    return sighting


def test_a_new_ticket_is_read_with_its_text_and_its_values_as_they_are_written() -> None:
    assert read(TICKET) == Sighting(
        ref="7",
        title="Server is down",
        description="Main server offline",
        values={"priority": "3", "department": "1"},
        created_ms=CREATED_MS,
        changed_ms=CREATED_MS,
        actor=None,
        is_closed=False,
        version="1",
    )


def test_a_follow_up_tells_when_and_by_whom_a_ticket_was_changed() -> None:
    changed = {**TICKET, "priority": 1, "status": 4, "followup_set": [dict(BY_FORM), dict(BY_ADA)]}

    sighting = read(changed, followup_id=2)

    assert sighting == replace(
        read(TICKET),
        values={"priority": "1", "department": "1"},
        changed_ms=CHANGED_MS,
        actor="1",
        is_closed=True,
        version="4",
    )


@pytest.mark.parametrize(
    ("followup", "actor"),
    [
        ({"user": 4}, "4"),
        ({"message_id": "<1@example.com>"}, None),  # a customer's e-mail
        ({}, "helpdesk"),  # as it escalates tickets by itself
    ],
)
def test_what_the_helpdesk_does_by_itself_is_told_from_what_people_do(followup: dict[str, Any], actor: str) -> None:
    sighting = read({**TICKET, "followup_set": [dict(BY_FORM), {**BY_FORM, "id": 2, **followup}]}, followup_id=2)

    assert sighting.actor == actor
    assert (actor in DjangoHelpdesk.not_people) is (actor == "helpdesk")


def test_a_head_can_be_a_field_of_ones_own() -> None:
    own = DjangoHelpdesk(Options(fields={"language": "custom_language", "team": "custom_team"}))

    (sighting,) = own.read(delivery({"ticket": {**TICKET, "custom_language": ""}}))

    assert sighting.values == {"language": None}  # nothing is said of the team


def test_which_status_counts_as_closed_can_be_said() -> None:
    own = DjangoHelpdesk(Options(fields={}, others={"closed": [9]}))

    assert [own.read(delivery({"ticket": {**TICKET, "status": n}}))[0].is_closed for n in (4, 9)] == [False, True]
    with pytest.raises(OptionError, match="closed must be a list"):
        DjangoHelpdesk(Options(fields={}, others={"closed": 4}))


@pytest.mark.parametrize("content", [[], {}, {"ticket": None}, {"ticket": {"title": "no id"}}, {"ticket": []}])
def test_what_is_no_ticket_is_unreadable(content: object) -> None:
    with pytest.raises(UnreadableError):
        HELPDESK.read(delivery(content))


@pytest.mark.parametrize("followups", [None, "many", [None, 1], [{"date": "yesterday"}]])
def test_a_thread_that_is_not_as_documented_is_done_without(followups: object) -> None:
    sighting = read({**TICKET, "followup_set": followups})

    assert (sighting.ref, sighting.created_ms, sighting.changed_ms) == ("7", None, None)


def test_a_token_and_a_user_with_a_password_are_sent_as_the_api_takes_them() -> None:
    assert HELPDESK.authorization("abc") == {"authorization": "Token abc"}
    assert HELPDESK.authorization("bot:pass word") == {"authorization": "Basic Ym90OnBhc3Mgd29yZA=="}


def test_a_webhook_is_let_in_by_the_secret_in_its_address_alone(start_connected: StartConnected) -> None:
    connected = start_connected('type = "django-helpdesk"')
    now = {**BY_FORM, "date": datetime.now(UTC).isoformat()}
    body = json.dumps({"ticket": {**TICKET, **SURE, "followup_set": [now]}}).encode()

    def outcome(secret: str) -> tuple[int, Any]:
        credentials = base64.b64encode(f"any:{secret}".encode()).decode()
        answer = connected.deliver(body, {"authorization": f"Basic {credentials}"})
        return answer.status_code, answer.json().get("outcome", answer.json().get("error"))

    assert outcome("another-secret") == (401, "invalid_signature")
    assert outcome(SECRET) == (200, "classified")
