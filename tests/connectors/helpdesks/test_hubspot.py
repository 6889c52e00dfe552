"""HubSpot: from its signed events, which have no text, to what stands in the ticket, and back as judgements."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

import pytest

from app.connectors.api import Api
from app.connectors.helpdesk import OptionError, Options
from app.connectors.helpdesks.hubspot import HubSpotHelpdesk
from app.connectors.sighting import Delivery
from app.store.tables import outbox
from tests.connectors.connected import SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import (
    closed,
    closed_after_it_was_done,
    html_page,
    meanwhile,
    rate_limited,
    refused,
    running,
)
from tests.connectors.servers.hubspot import HubSpot, changed, event, now_ms, sign, signed

T = TypeVar("T")

PUBLIC_URL = "https://tickets.example.com"
URL = f"{PUBLIC_URL}/hooks/desk"
TABLE = """
type = "hubspot"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
public_url = "{public_url}"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
look_seconds = {look_seconds}
fields = {{department = "department"}}
labels.department = {{"Tech Support" = "tech_support", "Billing" = "billing", "Sales" = "sales"}}
"""
FIELDS = {"priority": "hs_ticket_priority", "department": "department"}


@pytest.fixture
def helpdesk() -> HubSpot:
    return HubSpot(token=TOKEN)


@pytest.fixture
def connected(helpdesk: HubSpot, start_connected: StartConnected) -> Iterator[ConnectedService]:
    with running(helpdesk) as url:
        yield start_connected(TABLE.format(url=url, public_url=PUBLIC_URL, look_seconds=0))


def tell(connected: ConnectedService, *events: Mapping[str, object]) -> dict[str, object]:
    delivery = signed(URL, SECRET, events)
    answer = connected.deliver(delivery.body, delivery.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def create(helpdesk: HubSpot, text: Mapping[str, str] = SURE, **properties: str) -> str:
    return helpdesk.create(text["title"], text["description"], **properties)


def values(helpdesk: HubSpot, ref: str) -> tuple[str | None, str | None]:
    properties = helpdesk.tickets[ref].properties
    return properties.get("hs_ticket_priority"), properties.get("department")


def changes(helpdesk: HubSpot) -> int:
    return len([request for request in helpdesk.requests if request.method == "PATCH"])


def test_a_ticket_is_fetched_after_the_answer_classified_and_written_once(
    helpdesk: HubSpot, connected: ConnectedService
) -> None:
    ref = create(helpdesk)

    assert tell(connected, event(ref)) == {"outcome": "queued", "predictions": {}}
    assert helpdesk.requests == []
    connected.settle()

    (prediction,) = connected.predictions()
    assert prediction["ticket_id"] == f"desk:{ref}"
    assert values(helpdesk, ref) == ("HIGH", "billing")
    assert changes(helpdesk) == 1


def test_events_of_several_tickets_in_one_delivery_are_told_apart(
    helpdesk: HubSpot, connected: ConnectedService
) -> None:
    refs = [create(helpdesk) for _ in range(3)]

    tell(connected, *(event(ref, occurredAt=now_ms() - number) for number, ref in enumerate(refs)))
    connected.settle()

    assert [values(helpdesk, ref) for ref in refs] == [("HIGH", "billing")] * 3


def test_events_in_the_newer_form_are_known_and_those_of_other_objects_are_not(
    helpdesk: HubSpot, connected: ConnectedService
) -> None:
    ref, other = create(helpdesk), create(helpdesk)

    told = tell(
        connected,
        event(ref, "object.creation", objectTypeId="0-5"),
        event(other, "object.creation", objectTypeId="0-1"),
        event(other, "contact.creation"),
        event(other, "ticket.deletion"),
        changed(other, "hs_pipeline_stage", "2"),
    )
    connected.settle()

    assert told["outcome"] == "queued"
    assert (values(helpdesk, ref), values(helpdesk, other)) == (("HIGH", "billing"), (None, None))


def test_what_a_person_set_before_the_ticket_was_read_stays(helpdesk: HubSpot, connected: ConnectedService) -> None:
    ref = create(helpdesk, hs_ticket_priority="LOW")

    tell(connected, event(ref))
    connected.settle()

    assert values(helpdesk, ref) == ("LOW", "billing")


def test_what_a_person_sets_while_it_is_classified_stays_and_is_a_judgement(
    helpdesk: HubSpot, connected: ConnectedService
) -> None:
    ref = create(helpdesk)
    # Between the reading for the model and the one before writing.
    path = f"tickets/{ref}$"
    helpdesk.give(
        meanwhile(lambda: None),
        meanwhile(lambda: helpdesk.set_by_person(ref, hs_ticket_priority="LOW")),
        method="GET",
        path=path,
    )

    tell(connected, event(ref))
    connected.settle()

    assert values(helpdesk, ref) == ("LOW", "billing")
    assert connected.judged() == [("priority", "Low", "High")]


def test_a_persons_change_is_a_judgement_and_our_own_and_a_workflows_are_none(
    helpdesk: HubSpot, connected: ConnectedService
) -> None:
    ref = create(helpdesk)
    tell(connected, event(ref))
    connected.settle()

    ours = changed(ref, "hs_ticket_priority", "HIGH", changeSource="INTEGRATION", sourceId="54321")
    rule = changed(ref, "department", "sales", changeSource="AUTOMATION_PLATFORM", sourceId="enrollmentId:1")
    assert [tell(connected, told)["outcome"] for told in (ours, rule)] == ["known", "known"]
    assert connected.judged() == []
    assert tell(connected, changed(ref, "hs_ticket_priority", "MEDIUM"))["outcome"] == "recorded"

    assert connected.judged() == [("priority", "Medium", "High")]
    (feedback,) = connected.feedback()
    assert feedback["reviewer"].startswith("helpdesk-")
    assert "userId:9" not in feedback["reviewer"]


def test_of_events_out_of_order_the_latest_says_what_stands(helpdesk: HubSpot, connected: ConnectedService) -> None:
    ref = create(helpdesk)
    tell(connected, event(ref))
    connected.settle()
    now = now_ms() + 1_000

    tell(
        connected,
        changed(ref, "hs_ticket_priority", "MEDIUM", occurredAt=now + 1),
        changed(ref, "hs_ticket_priority", "LOW", occurredAt=now),
    )
    late = tell(connected, changed(ref, "hs_ticket_priority", "URGENT", occurredAt=now - 1))

    assert connected.judged() == [("priority", "Medium", "High")]
    assert late["outcome"] == "known"


def test_what_stands_when_a_ticket_is_closed_is_a_judgement(helpdesk: HubSpot, connected: ConnectedService) -> None:
    ref = create(helpdesk)
    tell(connected, event(ref))
    connected.settle()

    tell(connected, changed(ref, "closed_date", str(now_ms() + 1_000), occurredAt=now_ms() + 1_000))

    assert connected.judged() == [("department", "Billing", "Billing"), ("priority", "High", "High")]


def test_another_attempt_at_a_delivery_is_known_though_its_body_is_another(
    helpdesk: HubSpot, connected: ConnectedService
) -> None:
    told = event(create(helpdesk))

    assert [tell(connected, {**told, "attemptNumber": n})["outcome"] for n in (0, 1)] == ["queued", "duplicate"]


def test_a_note_whose_answer_was_lost_is_not_written_again(helpdesk: HubSpot, connected: ConnectedService) -> None:
    ref = create(helpdesk, UNSURE)
    helpdesk.give(closed_after_it_was_done(), method="POST", path="notes$")

    tell(connected, event(ref))
    connected.settle()

    (note,) = helpdesk.notes_of(ref)
    assert "<br>Priority: High (" in note
    assert connected.rows(outbox, kind="write")[0]["result"] == "note there already"
    assert values(helpdesk, ref) == (None, None)


@pytest.mark.parametrize(
    "trouble",
    [rate_limited(1), html_page(502), html_page(200), refused(401), refused(403), closed(), closed_after_it_was_done()],
    ids=["429", "502 in HTML", "200 in HTML", "401", "403", "closed", "closed when it was done"],
)
def test_what_went_wrong_is_tried_again_and_written_once(
    helpdesk: HubSpot, connected: ConnectedService, trouble: object
) -> None:
    ref = create(helpdesk)
    helpdesk.give(trouble, method="PATCH")

    tell(connected, event(ref))
    connected.settle()

    assert values(helpdesk, ref) == ("HIGH", "billing")
    assert {row["state"] for row in connected.rows(outbox)} == {"done"}


def test_a_value_that_does_not_exist_there_is_a_dead_letter(helpdesk: HubSpot, start_connected: StartConnected) -> None:
    ref = create(helpdesk)
    with running(helpdesk) as url:
        table = TABLE.format(url=url, public_url=PUBLIC_URL, look_seconds=0)
        connected = start_connected(f'{table}labels.priority = {{High = "VERY_HIGH"}}\n')
        tell(connected, event(ref))
        connected.settle()

    (letter,) = connected.rows(outbox, state="dead")
    assert letter["result"].endswith(f"tickets/{ref}: answered 400")
    assert changes(helpdesk) == 1


def test_a_ticket_that_is_gone_is_left_alone(connected: ConnectedService) -> None:
    tell(connected, event("4711"))
    connected.settle()

    assert [row["result"] for row in connected.rows(outbox)] == ["the ticket is gone"]


def test_what_no_delivery_told_is_found_by_looking(helpdesk: HubSpot, start_connected: StartConnected) -> None:
    with running(helpdesk) as url:
        connected = start_connected(TABLE.format(url=url, public_url=PUBLIC_URL, look_seconds=2))
        refs = [create(helpdesk) for _ in range(10)]
        connected.wait_until(lambda: {values(helpdesk, ref) for ref in refs} == {("HIGH", "billing")})
        helpdesk.set_by_person(refs[7], hs_ticket_priority="LOW")
        connected.wait_until(lambda: bool(connected.judged()))

    assert connected.judged() == [("priority", "Low", "High")]
    assert changes(helpdesk) == 10


def test_all_pages_of_changes_are_read_and_what_changes_meanwhile_hides_nothing(helpdesk: HubSpot) -> None:
    refs = [create(helpdesk) for _ in range(250)]
    for number, ref in enumerate(refs):
        # Those of the first page, and of it some more, changed at one moment.
        helpdesk.tickets[ref].modified_ms = 1_000 + max(number - 120, 0)
    helpdesk.give(meanwhile(lambda: None), meanwhile(lambda: helpdesk.set_by_person(refs[0])), path="search$")

    async def look(desk: HubSpotHelpdesk, api: Api) -> list[str]:
        return [sighting.ref async for sighting in desk.changed_since(api, 500)]

    found = asked(helpdesk, look)

    assert set(found) == set(refs)
    assert found[-1] == refs[0]


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b'{"objectId": 1}', b"\xff", b'[{"subscriptionType": "ticket.creation"}]'],
)
def test_what_is_signed_but_no_list_of_events_is_kept_for_a_person(connected: ConnectedService, body: bytes) -> None:
    delivery = sign(URL, SECRET, body)

    answer = connected.deliver(delivery.body, delivery.headers)

    assert (answer.status_code, answer.json()["outcome"]) == (200, "review")


def test_a_delivery_of_nothing_is_no_trouble(connected: ConnectedService) -> None:
    assert tell(connected)["predictions"] == {}


def delivered(target: str, body: bytes, timestamp: str, signature: str, *, received_ms: int) -> Delivery:
    headers = {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": timestamp}
    return Delivery(body, headers, "POST", target, "192.0.2.1", received_ms)


# Of the tests of HubSpot's own clients in Python and in Ruby.
VECTORS = [
    ("1693657560000", "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="),
    ("1700000300000", "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw="),
]


@pytest.mark.parametrize(("timestamp", "signature"), VECTORS)
@pytest.mark.parametrize(("late_ms", "is_authentic"), [(0, True), (300_000, True), (300_001, False), (-300_001, False)])
def test_the_vectors_of_its_own_clients_are_accepted_within_five_minutes(
    timestamp: str, signature: str, late_ms: int, *, is_authentic: bool
) -> None:
    helpdesk = HubSpotHelpdesk(Options(fields=FIELDS, public_url="https://www.example.com"))
    delivery = delivered(
        "/webhook_uri",
        b"{'example_field':'example_value'}",
        timestamp,
        signature,
        received_ms=int(timestamp) + late_ms,
    )

    secrets = [b"another-secret", b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"]
    assert helpdesk.is_authentic(delivery, secrets) is is_authentic
    assert helpdesk.is_authentic(delivery, secrets[:1]) is False


def test_some_characters_of_the_address_are_signed_decoded_and_no_others() -> None:
    helpdesk = HubSpotHelpdesk(Options(fields=FIELDS, public_url=PUBLIC_URL))
    sent = now_ms()
    decoded = signed(f"{URL}?a=%20x:/?@!$'()*,;&b=%26", SECRET, [], sent_ms=sent)

    delivery = delivered(
        "/hooks/desk?a=%20x%3A%2F%3f%40%21%24%27%28%29%2A%2C%3b&b=%26",
        decoded.body,
        str(sent),
        decoded.headers["x-hubspot-signature-v3"],
        received_ms=sent,
    )

    assert helpdesk.is_authentic(delivery, [SECRET.encode()])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-hubspot-signature-v3", ""),
        ("x-hubspot-signature-v3", "\u00e9"),
        ("x-hubspot-request-timestamp", ""),
        ("x-hubspot-request-timestamp", "9" * 400),
        ("x-hubspot-request-timestamp", "1e12"),
        ("x-hubspot-request-timestamp", "\u0663"),
    ],
)
def test_headers_that_are_not_as_documented_are_refused(connected: ConnectedService, name: str, value: str) -> None:
    delivery = signed(URL, SECRET, [])

    headers = {known: text.encode() for known, text in {**delivery.headers, name: value}.items()}
    answer = connected.service.request("POST", "/hooks/desk", content=delivery.body, headers=headers)

    assert answer.status_code == 401


def test_a_delivery_for_another_address_is_refused(connected: ConnectedService) -> None:
    delivery = signed(f"{PUBLIC_URL}/hooks/other", SECRET, [])

    assert connected.deliver(delivery.body, delivery.headers).status_code == 401


def test_without_its_own_address_it_cannot_be_used() -> None:
    with pytest.raises(OptionError, match="public_url is missing"):
        HubSpotHelpdesk(Options(fields=FIELDS))


def test_the_values_that_exist_are_asked_for(helpdesk: HubSpot) -> None:
    assert asked(helpdesk, lambda desk, api: desk.choices(api)) == {
        "priority": {"LOW", "MEDIUM", "HIGH", "URGENT"},
        "department": {"billing", "sales", "tech_support"},
    }


def asked(helpdesk: HubSpot, ask: Callable[[HubSpotHelpdesk, Api], Awaitable[T]]) -> T:
    async def work(url: str) -> T:
        # Text has no choices.
        desk = HubSpotHelpdesk(Options(fields={**FIELDS, "product": "subject"}, public_url=PUBLIC_URL))
        api = Api(url, authorization=desk.authorization(TOKEN))
        try:
            return await ask(desk, api)
        finally:
            await api.close()

    with running(helpdesk) as url:
        return asyncio.run(work(url))
