"""The review queue over HTTP: who may see it, what is in it, and whose an item is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.keys import hash_key
from app.store.database import Database
from app.store.ids import milliseconds_of
from app.store.migration import upgrade
from tests.conftest import StartService
from tests.in_process import Service
from tests.review_items import Item, put_in_queue

NOBODYS_ID = "01900000-0000-7000-8000-00000000000a"
HERE = ("127.0.0.1", 5000)
KEYS = {
    "api_keys": (hash_key("caller"),),
    "reviewer_api_keys": (f"mia:{hash_key('mia-key')}", f"leo:{hash_key('leo-key')}"),
    "admin_api_keys": (hash_key("admin-key"),),
}


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def service(start_service: StartService, store_url: str) -> Service:
    return start_service(store_url=store_url)


def ids_of(answer: Any) -> list[str]:  # noqa: ANN401 - httpx's response
    assert answer.status_code == 200, answer.text
    return [item["prediction_id"] for item in answer.json()["items"]]


def claim(service: Service, count: int = 10, key: str | None = None) -> Any:  # noqa: ANN401 - httpx's response
    headers = {} if key is None else {"X-API-Key": key}
    return service.request("POST", "/review/claim", json={"count": count}, headers=headers, peer=HERE)


def test_an_item_has_what_was_sent_and_what_was_answered(service: Service, database: Database) -> None:
    audit, asked = put_in_queue(database, [Item(-0.9, is_audit=True), Item(-0.1, ticket_id="T-1")])

    answer = service.get("/review", peer=HERE).json()

    received_at = datetime.fromtimestamp(milliseconds_of(audit) / 1000, UTC)
    assert datetime.fromisoformat(answer["items"][0]["received_at"]) == received_at
    assert answer["items"][0]["received_at"].endswith("Z")
    assert [{**item, "received_at": None} for item in answer["items"]] == [
        {
            "prediction_id": audit,
            "ticket_id": None,
            "title": "Server is down",
            "description": "All users are affected",
            "received_at": None,
            "is_audit": True,
            "predictions": None,
        },
        {
            "prediction_id": asked,
            "ticket_id": "T-1",
            "title": "Server is down",
            "description": "All users are affected",
            "received_at": None,
            "is_audit": False,
            "predictions": {
                head: {
                    "label": label,
                    "confidence": 0.5,
                    "decision": decision,
                    "reasons": reasons,
                    "alternatives": [{"label": "Low", "confidence": 0.25}],
                }
                for head, label, decision, reasons in (
                    ("department", "Sales", "auto", []),
                    ("priority", "High", "suggest", ["low_confidence"]),
                )
            },
        },
    ]
    assert answer["next_cursor"] is None


def test_what_is_shown_of_an_answer_is_what_was_answered(start_service: StartService, store_url: str) -> None:
    service = start_service(store_url=store_url, audit_share=0)
    tickets = [{"title": title, "description": "", "ticket_id": title} for title in ("quote", "refund price", "résumé")]
    answers = {answer["prediction_id"]: answer for answer in (service.classify(ticket).json() for ticket in tickets)}
    asked = {
        prediction_id
        for prediction_id, answer in answers.items()
        if any(head["decision"] != "auto" for head in answer["predictions"].values())
    }
    assert asked

    deadline = time.monotonic() + 30
    items: list[dict[str, Any]] = []
    while len(items) < len(asked) and time.monotonic() < deadline:
        items = service.get("/review", peer=HERE).json()["items"]

    assert {item["prediction_id"] for item in items} == asked
    for item in items:
        answer = answers[item["prediction_id"]]
        assert {name: item[name] for name in ("ticket_id", "title", "description", "predictions")} == {
            name: answer[name] for name in ("ticket_id", "title", "description", "predictions")
        }


@pytest.mark.parametrize("order", ["value", "newest", "oldest"])
def test_pages_are_read_one_after_the_other(service: Service, database: Database, order: str) -> None:
    ids = put_in_queue(database, [Item(-number / 7) for number in range(7)])
    found: list[str] = []
    cursor = ""
    for _ in range(4):
        answer = service.get(f"/review?order={order}&limit=2&cursor={cursor}&head=&label=&decision=", peer=HERE)
        found += ids_of(answer)
        cursor = answer.json()["next_cursor"]

    assert cursor is None
    assert found == (ids if order == "oldest" else ids[::-1])


def test_filters_are_those_of_the_query(service: Service, database: Database) -> None:
    high, low = put_in_queue(
        database, [Item(heads={"priority": ("High", "suggest")}), Item(heads={"priority": ("Low & slow", "review")})]
    )

    assert ids_of(service.get("/review?head=priority&label=Low%20%26%20slow", peer=HERE)) == [low]
    assert ids_of(service.get("/review?decision=suggest", peer=HERE)) == [high]
    assert ids_of(service.get("/review?state=judged", peer=HERE)) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=canary", "limit"),
        ("order=canary", "order"),
        ("state=canary", "state"),
        ("decision=canary", "decision"),
        ("cursor=canary", "cursor"),
        ("cursor=" + "0" * 47, "cursor"),
        ("head=" + "canary" * 40, "head"),
        ("head=a&head=b", "head"),
        ("canary=canary", "(unknown parameter)"),
    ],
)
def test_a_query_that_is_not_understood_is_named_by_its_field(service: Service, query: str, field: str) -> None:
    answer = service.get(f"/review?{query}", peer=HERE)

    assert (answer.status_code, answer.json()["error"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "canary" not in answer.text


def test_any_cursor_of_the_right_form_is_answered(service: Service, database: Database) -> None:
    put_in_queue(database, [Item()])

    for rank in ("0000000000000000", "7ff8000000000000", "7ff0000000000000", "fff0000000000000", "ffffffffffffffff"):
        for order in ("value", "newest", "oldest"):
            answer = service.get(f"/review?order={order}&cursor={rank}{'f' * 32}", peer=HERE)
            assert answer.status_code == 200, answer.text


def test_reviewers_share_the_queue_by_their_names(
    start_service: StartService, store_url: str, database: Database
) -> None:
    service = start_service(store_url=store_url, **KEYS)
    ids = put_in_queue(database, [Item(number) for number in range(5)])
    before = datetime.now(UTC)

    answers = [claim(service, 2, key) for key in ("mia-key", "leo-key", "admin-key")]

    assert [ids_of(answer) for answer in answers] == [ids[:2], ids[2:4], ids[4:]]
    leased_until = datetime.fromisoformat(answers[0].json()["leased_until"])
    assert timedelta(minutes=9, seconds=59) <= leased_until - before <= timedelta(minutes=11)
    assert ids_of(claim(service, 2, "mia-key")) == []

    def skip(key: str, prediction_id: str) -> None:
        answer = service.request("POST", f"/review/{prediction_id}/skip", headers={"X-API-Key": key})
        assert (answer.status_code, answer.json()) == (200, {"prediction_id": prediction_id})

    skip("leo-key", ids[0])
    assert ids_of(claim(service, 2, "leo-key")) == []
    skip("mia-key", ids[1])
    assert ids_of(claim(service, 2, "leo-key")) == [ids[1]]


def test_on_the_machine_itself_nobody_needs_a_name(service: Service, database: Database) -> None:
    ids = put_in_queue(database, [Item(0.0), Item(1.0)])

    assert ids_of(claim(service, 1)) == ids[:1]
    assert ids_of(claim(service)) == ids[1:]
    assert service.request("POST", f"/review/{ids[0]}/skip", peer=HERE).status_code == 200
    assert ids_of(claim(service)) == ids[:1]


def test_an_id_may_be_written_in_capitals_as_in_feedback(service: Service, database: Database) -> None:
    ids = put_in_queue(database, [Item(0.0), Item(1.0)])

    answer = service.request("POST", f"/review/{ids[0].upper()}/skip", peer=HERE)

    assert (answer.status_code, answer.json()) == (200, {"prediction_id": ids[0]})
    assert ids_of(claim(service)) == [ids[1], ids[0]]


@pytest.mark.parametrize("prediction_id", [NOBODYS_ID, NOBODYS_ID.upper(), "x", "a b", "%00", "é", "{prediction_id}"])
def test_what_is_no_item_cannot_be_skipped(service: Service, prediction_id: str) -> None:
    answer = service.request("POST", f"/review/{prediction_id}/skip", peer=HERE)

    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_prediction")


def test_ten_may_be_written_as_json_allows(service: Service) -> None:
    answer = service.request(
        "POST", "/review/claim", content=b'{"count": 10.0}', headers={"Content-Type": "application/json"}, peer=HERE
    )

    assert answer.status_code == 200


@pytest.mark.parametrize("count", [0, 101, "10", 1.5, True, None])
def test_a_claim_is_of_1_to_100_items(start_service: StartService, count: object) -> None:
    answer = start_service().request("POST", "/review/claim", json={"count": count}, peer=HERE)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "count")


ASKED = (("GET", "/review"), ("POST", "/review/claim"), ("POST", f"/review/{NOBODYS_ID}/skip"))


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_tickets_are_shown_to_reviewers_and_admins_only(start_service: StartService, method: str, path: str) -> None:
    service = start_service(**KEYS)

    def ask(key: str) -> tuple[int, str]:
        answer = service.request(method, path, headers={"X-API-Key": key}, peer=HERE)
        return answer.status_code, answer.json()["error"]

    assert ask("") == (401, "invalid_api_key")
    assert ask("nobody") == (401, "invalid_api_key")
    assert ask("caller") == (403, "reviewer_key_required")
    assert {ask(key)[0] for key in ("mia-key", "admin-key")} <= {503, 415}


@pytest.mark.parametrize(("method", "path"), ASKED)
@pytest.mark.parametrize("keys", [{}, {"api_keys": KEYS["api_keys"]}])
def test_without_reviewers_tickets_are_shown_on_the_machine_itself_only(
    start_service: StartService, keys: dict[str, Any], method: str, path: str
) -> None:
    service = start_service(**keys)

    def ask(peer: tuple[str, int], **headers: str) -> str:
        answer = service.request(method, path, peer=peer, headers={"X-API-Key": "caller", **headers})
        return str(answer.json()["error"])

    assert ask(HERE) in {"store_off", "unsupported_media_type"}
    assert ask(("::1", 5000)) in {"store_off", "unsupported_media_type"}
    assert ask(("192.0.2.1", 5000)) == "reviewers_disabled"
    assert ask(("127.0.0.1", 0)) == "reviewers_disabled"
    assert ask(HERE, Forwarded="for=127.0.0.1") == "reviewers_disabled"
    assert ask(HERE, **{"X-Forwarded-For": "127.0.0.1"}) == "reviewers_disabled"
    assert ask(HERE, Origin="https://elsewhere.example") == "reviewers_disabled"


def test_a_reviewers_key_classifies_where_callers_need_one_and_closes_nothing_where_they_do_not(
    start_service: StartService,
) -> None:
    keyed = start_service(**KEYS)
    reviewers_only = start_service(reviewer_api_keys=KEYS["reviewer_api_keys"])

    assert keyed.classify().status_code == 401
    assert keyed.classify(headers={"X-API-Key": "mia-key"}).status_code == 200
    assert keyed.request("POST", "/model/reload", headers={"X-API-Key": "mia-key"}).json()["error"] == (
        "admin_key_required"
    )
    assert reviewers_only.classify().status_code == 200
    assert reviewers_only.get("/review", peer=HERE).status_code == 401


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_without_a_store_there_is_nothing_to_review(start_service: StartService, method: str, path: str) -> None:
    answer = start_service().request(method, path, peer=HERE, **({"json": {}} if path.endswith("claim") else {}))

    assert (answer.status_code, answer.json()["error"]) == (503, "store_off")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_store_that_is_away_is_worth_another_try(start_service: StartService, method: str, path: str) -> None:
    service = start_service(store_url="postgresql://nobody@127.0.0.1:1/nothing")

    answer = service.request(method, path, peer=HERE, **({"json": {}} if path.endswith("claim") else {}))

    assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
