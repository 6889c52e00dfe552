"""Ten thousand deliveries that nobody signed who may, and of each kind of helpdesk: none is taken, none fails."""

from __future__ import annotations

import base64
import hmac
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from app.connectors.helpdesks.known import TYPES
from tests.connectors.connected import SECRET, SURE, TOKEN, ConnectedService, StartConnected
from tests.connectors.forgeries import Genuine, Sent, forged
from tests.connectors.servers.hubspot import event
from tests.connectors.servers.hubspot import sign as hubspot_sign
from tests.connectors.servers.intercom import Intercom
from tests.connectors.servers.intercom import signed as intercom_signed
from tests.connectors.servers.jira import Jira
from tests.connectors.servers.request_tracker import RequestTracker
from tests.connectors.servers.webhook import Webhook
from tests.connectors.servers.zammad import Zammad
from tests.connectors.servers.zendesk import Zendesk
from tests.connectors.test_generic import signed

N_FORGERIES = 1_000
WINDOW_SECONDS = 300
PUBLIC_URL = "https://tickets.example.com"
BODY = json.dumps({"id": "7", **SURE, "priority": None}).encode()
# Who has the secret, and signs nothing with it, can send what he likes.
UNSIGNED = json.dumps({"ticket_id": "7", "id": "7", **SURE}).encode()


@dataclass(frozen=True)
class Kind:
    """How one type of connector is told of a ticket, so many seconds from now where the time is signed."""

    send: Callable[[int], Webhook]
    signed_by: tuple[str, ...]
    timed_by: str | None = None
    signs_body: bool = True
    options: str = ""
    type: str | None = None
    # What the same delivery is answered with when it comes again.
    again: tuple[str, ...] = ("duplicate",)


def standard(seconds: int) -> Webhook:
    return Webhook(signed(BODY, seconds=int(time.time()) + seconds), BODY)


def hub(_: int) -> Webhook:
    return Webhook({"x-hub-signature-256": f"sha256={hmac.new(SECRET.encode(), BODY, 'sha256').hexdigest()}"}, BODY)


def zendesk(seconds: int) -> Webhook:
    desk = Zendesk(token=TOKEN, secret=SECRET)
    body = desk.event(desk.created(subject=SURE["title"], description=SURE["description"]))
    return Webhook(desk.signed(body, datetime.fromtimestamp(time.time() + seconds, UTC)), body)


def jira(_: int) -> Webhook:
    desk = Jira(TOKEN)
    return desk.webhook(desk.create(SURE["title"], SURE["description"]), "jira:issue_created", secret=SECRET)


def zammad(_: int) -> Webhook:
    desk = Zammad(TOKEN, groups=("Users", "Billing"))
    return desk.webhook(desk.create(SURE["title"], SURE["description"]), secret=SECRET)


def hubspot(seconds: int) -> Webhook:
    body = json.dumps([event("7")]).encode()
    sent_ms = time.time_ns() // 1_000_000 + 1000 * seconds
    return hubspot_sign(f"{PUBLIC_URL}/hooks/desk", SECRET, body, sent_ms=sent_ms)


def intercom(_: int) -> Webhook:
    desk = Intercom(token=TOKEN)
    return intercom_signed(SECRET, "ticket.created", desk.shape(desk.create(SURE["title"], SURE["description"])))


def request_tracker(seconds: int) -> Webhook:
    desk = RequestTracker(TOKEN)
    ticket = desk.create(SURE["title"], ("text/plain", SURE["description"]))
    return desk.webhook(ticket, SECRET, seconds=int(time.time()) + seconds)


def with_secret(**headers: str) -> Callable[[int], Webhook]:
    return lambda _: Webhook(headers, UNSIGNED)


BASIC = "Basic " + base64.b64encode(f"any:{SECRET}".encode()).decode()
KINDS = {
    "generic": Kind(standard, ("webhook-id", "webhook-timestamp", "webhook-signature"), "webhook-timestamp"),
    "generic, as GitHub signs": Kind(hub, ("x-hub-signature-256",), options='signature = "hub-sha256"', type="generic"),
    "generic, with a secret": Kind(
        with_secret(**{"x-webhook-secret": SECRET}),
        ("x-webhook-secret",),
        signs_body=False,
        options='signature = "secret"',
        type="generic",
    ),
    "request-tracker": Kind(
        request_tracker, ("webhook-id", "webhook-timestamp", "webhook-signature"), "webhook-timestamp"
    ),
    "zendesk": Kind(
        zendesk,
        ("x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp"),
        "x-zendesk-webhook-signature-timestamp",
    ),
    "jira": Kind(jira, ("x-hub-signature",)),
    "zammad": Kind(zammad, ("x-hub-signature",)),
    "hubspot": Kind(
        hubspot,
        ("x-hubspot-signature-v3", "x-hubspot-request-timestamp"),
        "x-hubspot-request-timestamp",
        options=f'public_url = "{PUBLIC_URL}"',
    ),
    "intercom": Kind(intercom, ("x-hub-signature",)),
    "freshdesk": Kind(
        with_secret(authorization=BASIC), ("authorization",), signs_body=False, again=("known", "queued", "review")
    ),
    "django-helpdesk": Kind(with_secret(authorization=f"Bearer {SECRET}"), ("authorization",), signs_body=False),
}


def genuine(kind: Kind, seconds: int = 0) -> Genuine:
    return Genuine(kind.send(seconds), kind.signed_by, kind.timed_by, kind.signs_body)


def connect(start: StartConnected, name: str) -> ConnectedService:
    kind = KINDS[name]
    return start(f'type = "{kind.type or name}"\n{kind.options}')


def answered(connected: ConnectedService, sent: Sent) -> tuple[int, str]:
    """Return the status, and the outcome or the error."""
    answer = connected.service.ask_raw("POST", "/hooks/desk", query=b"", headers=sent.headers, body=sent.body)
    content = answer.json()
    return answer.status_code, content.get("outcome") or content["error"]


def test_every_type_of_connector_is_here() -> None:
    assert {kind.type or name for name, kind in KINDS.items()} == set(TYPES)


@pytest.mark.parametrize("name", KINDS)
def test_nothing_that_was_changed_on_its_way_is_taken_and_nothing_fails(
    start_connected: StartConnected, name: str
) -> None:
    connected, kind = connect(start_connected, name), KINDS[name]
    true = genuine(kind)
    first = answered(connected, Sent("genuine", true.headers(), true.webhook.body))
    assert first[0] == 200, first
    before = (len(connected.deliveries()), len(connected.predictions()), len(connected.feedback()))
    wrong: Counter[tuple[str, int, str]] = Counter()
    names = set()

    for sent in forged(true, random.Random(name), N_FORGERIES):
        names.add(sent.name)
        status, said = answered(connected, sent)
        is_refused = (status, said) in {(401, "invalid_signature"), (413, "body_too_large")}
        if not is_refused and not (sent.is_same and status == 200 and said in kind.again):
            wrong[sent.name, status, said] += 1

    assert not wrong
    assert len(names) > 10
    if kind.again == ("duplicate",):
        assert (len(connected.deliveries()), len(connected.predictions()), len(connected.feedback())) == before


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.timed_by is not None])
def test_what_is_late_or_early_is_not_taken_however_well_it_is_signed(
    start_connected: StartConnected, name: str
) -> None:
    connected, rng = connect(start_connected, name), random.Random(name)
    for seconds in (WINDOW_SECONDS + 2, 3_600, 10**9, *(rng.randint(302, 10**7) for _ in range(20))):
        for late in (genuine(KINDS[name], seconds), genuine(KINDS[name], -seconds)):
            sent = Sent("late", late.headers(), late.webhook.body)
            assert answered(connected, sent) == (401, "invalid_signature")
    in_time = genuine(KINDS[name], -WINDOW_SECONDS + 20)

    assert connected.deliveries() == []
    assert answered(connected, Sent("in time", in_time.headers(), in_time.webhook.body))[0] == 200


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.timed_by is not None])
def test_time_and_text_cannot_be_cut_elsewhere(start_connected: StartConnected, name: str) -> None:
    connected, kind = connect(start_connected, name), KINDS[name]
    true = genuine(kind)
    assert kind.timed_by is not None
    sent_at, body = true.webhook.headers[kind.timed_by].encode(), true.webhook.body
    assert answered(connected, Sent("genuine", true.headers(), body))[0] == 200
    others = [pair for pair in true.headers() if pair[0].decode() != kind.timed_by]

    for n_bytes in range(1, 12):
        for time_text, text in (
            (sent_at[:-n_bytes], sent_at[-n_bytes:] + body),
            (sent_at + body[:n_bytes], body[n_bytes:]),
            (sent_at[n_bytes:], body + sent_at[:n_bytes]),
            (body[-n_bytes:] + sent_at, body[:-n_bytes]),
        ):
            cut = Sent("cut", [*others, (kind.timed_by.encode(), time_text)], text)
            assert answered(connected, cut) in {(401, "invalid_signature"), (200, "duplicate")}

    assert len(connected.deliveries()) == 1


def test_pieces_of_a_body_are_one_body(start_connected: StartConnected) -> None:
    connected = connect(start_connected, "generic")
    true = genuine(KINDS["generic"])
    body = true.webhook.body

    def in_pieces(text: bytes) -> int:
        async def parts() -> AsyncIterator[bytes]:
            for at in range(0, len(text), 5):
                yield text[at : at + 5]

        headers = dict(true.webhook.headers)
        return connected.service.request("POST", "/hooks/desk", content=parts(), headers=headers).status_code

    assert in_pieces(body + b"0\r\n") == 401
    assert in_pieces(body) == 200
    assert len(connected.deliveries()) == 1


def test_who_sends_too_many_forged_deliveries_is_told_to_wait_and_who_has_the_secret_is_not(
    start_connected: StartConnected,
) -> None:
    connected = start_connected('type = "generic"', rate_limit_requests=3, rate_limit_window_sec=60)
    unsigned = Sent("forged", [], BODY)

    answers = [answered(connected, unsigned) for _ in range(5)]
    true = standard(0)
    answer = connected.service.ask_raw("POST", "/hooks/desk", query=b"", headers=[], body=BODY)

    assert answers == [(401, "invalid_signature")] * 3 + [(429, "rate_limited")] * 2
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    headers = [(name.encode(), value.encode()) for name, value in true.headers.items()]
    for _ in range(5):
        assert answered(connected, Sent("genuine", headers, BODY))[0] == 200
