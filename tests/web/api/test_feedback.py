"""Feedback over HTTP: what is asked of it, what is answered, and what stays on disk."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.store.database import Database
from app.store.ids import new_id
from app.store.tables import feedback, judgements
from tests.stored import add_prediction, is_open, rows_of

if TYPE_CHECKING:
    from tests.conftest import Service, StartProcess, StartService

HIGH = {"priority": "High"}
TEXT = {"title": "Server is down", "description": "Main server offline"}
CANARY = "canary-4f1d"


@pytest.fixture
def service(start_service: StartService, store_url: str) -> Service:
    return start_service(store_url=store_url)


@pytest.fixture
def database(service: Service, store_url: str) -> Iterator[Database]:
    """The store of the running service."""
    assert service.state["store"].is_reachable
    database = Database(store_url)
    yield database
    database.close()


def give(service: Service, body: object, path: str = "/feedback", **headers: str) -> httpx.Response:
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return service.request("POST", path, content=json.dumps(body).encode(), headers=headers)


def assert_error(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"]) == (status, slug), body
    assert CANARY not in response.text
    return body


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_feedback_is_kept_and_says_where_the_answer_was_right(service: Service, database: Database) -> None:
    prediction_id = add_prediction(database, heads={"priority": ("High", "auto"), "department": ("Sales", "suggest")})

    response = give(service, {"prediction_id": prediction_id.upper(), "labels": HIGH | {"department": "Billing"}})

    assert response.status_code == 201
    (row,) = rows_of(database, feedback)
    assert response.json() == {
        "feedback_id": row["feedback_id"],
        "prediction_id": prediction_id,
        "agreed": {"department": False, "priority": True},
    }
    assert (row["source"], row["reviewer"]) == ("api", None)
    assert not is_open(database, prediction_id)


def test_a_label_for_a_ticket_that_was_never_classified_comes_with_its_text(
    service: Service, database: Database
) -> None:
    response = give(service, {"ticket": TEXT, "labels": HIGH, "source": "helpdesk", "reviewer": "Mia W."})

    assert response.status_code == 201
    assert response.json()["prediction_id"] is None
    assert response.json()["agreed"] == {}
    (row,) = rows_of(database, feedback)
    assert (row["title"], row["description"]) == (TEXT["title"], TEXT["description"])
    assert (row["source"], row["reviewer"]) == ("helpdesk", "Mia W.")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["labels"]),
        ({"labels": HIGH}, ["(body)"]),
        ({"prediction_id": new_id(), "ticket_id": "4711", "labels": HIGH}, ["(body)"]),
        ({"prediction_id": CANARY, "labels": HIGH}, ["prediction_id"]),
        ({"ticket_id": "", "labels": HIGH}, ["ticket_id"]),
        ({"ticket_id": f"{CANARY}\u202e", "labels": HIGH}, ["ticket_id"]),
        ({"ticket_id": CANARY * 20, "labels": HIGH}, ["ticket_id"]),
        ({"ticket": {"title": " "}, "labels": HIGH}, ["ticket"]),
        ({"ticket": TEXT | {CANARY: 1}, "labels": HIGH}, ["ticket.(unknown field)"]),
        ({"ticket": TEXT, "labels": {}}, ["labels"]),
        ({"ticket": TEXT, "labels": [CANARY]}, ["labels"]),
        ({"ticket": TEXT, "labels": {"priority": ""}}, ["labels"]),
        ({"ticket": TEXT, "labels": {CANARY: 1}}, ["labels"]),
        ({"ticket": TEXT, "labels": {CANARY: "High"}}, ["labels.(unknown head)"]),
        ({"ticket": TEXT, "labels": HIGH, "source": CANARY}, ["source"]),
        ({"ticket": TEXT, "labels": HIGH, "reviewer": f"{CANARY}\n"}, ["reviewer"]),
        ({"ticket": TEXT, "labels": HIGH, "reviewer": CANARY * 20}, ["reviewer"]),
        ({"ticket": TEXT, "labels": HIGH, "allow_new_labels": 1}, ["allow_new_labels"]),
        ({"ticket": TEXT, "labels": {"priority": CANARY * 20}, "allow_new_labels": True}, ["labels"]),
        ({"ticket": TEXT, "labels": HIGH, CANARY: 1}, ["(unknown field)"]),
    ],
)
def test_what_is_no_feedback_is_refused_and_the_field_is_named(
    start_service: StartService, tmp_path: Path, body: object, fields: list[str]
) -> None:
    service = start_service(store_url=f"sqlite:///{tmp_path}/store.db")

    response = give(service, body)

    assert [error["field"] for error in assert_error(response, 422, "validation_failed")["errors"]] == fields


def test_a_label_that_the_model_lacks_is_refused_unless_it_is_allowed(service: Service, database: Database) -> None:
    body = {"ticket": TEXT, "labels": {"priority": CANARY}}

    errors = assert_error(give(service, body), 422, "unknown_label")["errors"]

    assert [error["field"] for error in errors] == ["labels.priority"]
    assert give(service, body | {"allow_new_labels": True}).status_code == 201
    assert [row["label"] for row in rows_of(database, judgements)] == [CANARY]


def test_an_unknown_prediction_is_answered_with_what_can_be_done(service: Service) -> None:
    for body in ({"prediction_id": new_id()}, {"ticket_id": CANARY}):
        detail = assert_error(give(service, body | {"labels": HIGH}), 404, "unknown_prediction")["detail"]
        assert "text can be sent along" in detail


def test_feedback_that_overtakes_its_prediction_waits_for_it(service: Service, database: Database) -> None:
    prediction_id, response = new_id(), []
    asking = threading.Thread(
        target=lambda: response.append(give(service, {"prediction_id": prediction_id, "labels": HIGH}))
    )

    asking.start()
    add_prediction(database, prediction_id=prediction_id)
    asking.join()

    assert [(one.status_code, one.json()["prediction_id"]) for one in response] == [(201, prediction_id)]


def test_of_a_ticket_that_is_classified_again_the_latest_answer_is_judged(service: Service) -> None:
    ticket = TEXT | {"ticket_id": "4711"}
    service.classify(ticket)
    assert give(service, {"ticket_id": "4711", "labels": HIGH}).status_code == 201

    latest = service.classify(ticket).json()["prediction_id"]

    assert give(service, {"ticket_id": "4711", "labels": HIGH}).json()["prediction_id"] == latest


def test_an_id_of_another_form_is_said_to_be_in_the_path(service: Service) -> None:
    body = assert_error(service.request("DELETE", f"/feedback/{CANARY}"), 422, "validation_failed")

    assert body["detail"] == "The path has no id of the form that it takes."


def test_feedback_with_a_text_beside_an_unknown_id_is_kept_with_the_text(service: Service, database: Database) -> None:
    response = give(service, {"ticket_id": "4711", "ticket": TEXT, "labels": HIGH})

    assert (response.status_code, response.json()["prediction_id"]) == (201, None)
    assert rows_of(database, feedback)[0]["ticket_id"] == "4711"


def test_of_20_repetitions_at_once_one_is_kept_and_another_body_is_refused(
    service: Service, database: Database
) -> None:
    body = {"ticket": TEXT, "labels": HIGH}
    content, headers = json.dumps(body).encode(), {"Content-Type": "application/json", "Idempotency-Key": CANARY}

    responses = service.request_together(20, "POST", "/feedback", content=content, headers=headers)

    assert {(response.status_code, response.text) for response in responses} == {(201, responses[0].text)}
    assert_error(
        give(service, body | {"labels": {"priority": "Low"}}, Idempotency_Key=CANARY), 422, "idempotency_mismatch"
    )
    (row,) = rows_of(database, feedback)
    assert CANARY not in row["idempotency_key"]


def test_keys_of_different_callers_never_meet(start_service: StartService, store_url: str) -> None:
    service = start_service(store_url=store_url, api_keys=(sha256("a"), sha256("b")))
    body = {"ticket": TEXT, "labels": HIGH}

    answers = [give(service, body, Idempotency_Key="1", X_API_Key=key).json()["feedback_id"] for key in ("a", "b", "a")]

    assert answers[0] == answers[2] != answers[1]


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "\x7f"])
def test_a_key_of_another_form_is_refused(service: Service, key: str) -> None:
    error = assert_error(give(service, {"ticket": TEXT, "labels": HIGH}, Idempotency_Key=key), 422, "validation_failed")

    assert [field["field"] for field in error["errors"]] == ["Idempotency-Key"]


def test_a_reviewers_key_says_who_the_reviewer_is(start_service: StartService, store_url: str) -> None:
    service = start_service(
        store_url=store_url, reviewer_api_keys=(f"mia.w:{sha256('a')}",), admin_api_keys=(sha256("b"),)
    )
    body = {"ticket": TEXT, "labels": HIGH, "reviewer": "somebody else"}
    database = Database(store_url)

    for key in ("a", "b"):
        assert give(service, body, X_API_Key=key).status_code == 201

    assert [row["reviewer"] for row in rows_of(database, feedback)] == ["mia.w", "somebody else"]
    database.close()


def test_each_feedback_of_a_batch_is_answered_by_itself(service: Service, database: Database) -> None:
    prediction_id = add_prediction(database)
    good = {"prediction_id": prediction_id, "labels": HIGH}
    batch = [good, {"ticket": TEXT, "labels": {"priority": CANARY}}, CANARY, {"ticket_id": "?", "labels": HIGH}, good]

    response = give(service, {"feedback": batch}, "/feedback/batch")

    assert response.status_code == 200
    results = response.json()["results"]
    assert [result.get("error") for result in results] == [
        None,
        "unknown_label",
        "validation_failed",
        "unknown_prediction",
        None,
    ]
    assert set(results[0]) == {"feedback_id", "prediction_id", "agreed"}
    assert set(results[1]) == {"error", "detail"}
    assert "labels.priority" in results[1]["detail"]
    assert CANARY not in response.text
    assert len(rows_of(database, feedback)) == 2


def test_a_thousand_are_kept_in_one_go_and_a_repetition_keeps_none_of_them_twice(
    service: Service, database: Database
) -> None:
    batch = {"feedback": [{"ticket": {"title": f"ticket {number}"}, "labels": HIGH} for number in range(1000)]}

    first, second = (give(service, batch, "/feedback/batch", Idempotency_Key="nightly") for _ in range(2))

    assert len({result["feedback_id"] for result in first.json()["results"]}) == 1000
    assert second.json() == first.json()
    assert [row["title"] for row in rows_of(database, feedback)] == [f"ticket {number}" for number in range(1000)]


@pytest.mark.parametrize("body", [[], {}, {"feedback": []}, {"feedback": [1] * 1001}, {"feedback": [1], CANARY: 1}])
def test_what_is_no_batch_is_refused(start_service: StartService, tmp_path: Path, body: object) -> None:
    service = start_service(store_url=f"sqlite:///{tmp_path}/store.db")

    assert_error(give(service, body, "/feedback/batch"), 422, "validation_failed")


def test_a_batch_may_have_a_mebibyte_and_no_more(start_service: StartService, tmp_path: Path) -> None:
    service = start_service(store_url=f"sqlite:///{tmp_path}/store.db")
    large = {"ticket": TEXT | {"description": "x" * 20_000}, "labels": HIGH}

    assert give(service, {"feedback": [large] * 50}, "/feedback/batch").status_code == 200
    assert_error(give(service, {"feedback": [large] * 60}, "/feedback/batch"), 413, "body_too_large")


def test_feedback_can_be_taken_back_and_that_repeated(service: Service, database: Database) -> None:
    prediction_id = add_prediction(database)
    feedback_id = give(service, {"prediction_id": prediction_id, "labels": HIGH}).json()["feedback_id"]

    responses = [service.request("DELETE", f"/feedback/{feedback_id}") for _ in range(2)]

    assert [response.status_code for response in responses] == [200, 200]
    assert responses[0].json() == responses[1].json() == {"feedback_id": feedback_id, "taken_back": True}
    assert rows_of(database, feedback)[0]["taken_back_ms"] is not None
    assert is_open(database, prediction_id)


def test_feedback_that_is_not_there_cannot_be_taken_back(service: Service) -> None:
    assert_error(service.request("DELETE", f"/feedback/{new_id()}"), 404, "unknown_feedback")
    assert_error(service.request("DELETE", f"/feedback/{CANARY}"), 422, "validation_failed")


def test_with_the_store_off_feedback_is_refused_and_tickets_are_classified(start_service: StartService) -> None:
    service = start_service()

    for response in (
        give(service, {"ticket": TEXT, "labels": HIGH}),
        give(service, {"feedback": [{}]}, "/feedback/batch"),
        service.request("DELETE", f"/feedback/{new_id()}"),
    ):
        assert_error(response, 503, "store_off")
        assert int(response.headers["retry-after"]) > 0
    assert service.classify().status_code == 200


def test_with_the_store_away_feedback_is_refused_until_it_comes_back(
    start_service: StartService, tmp_path: Path
) -> None:
    service = start_service(store_url=f"sqlite:///{tmp_path}/later/store.db")

    response = give(service, {"ticket": TEXT, "labels": HIGH})

    assert_error(response, 503, "store_unavailable")
    assert int(response.headers["retry-after"]) > 0


def test_what_was_answered_201_is_there_after_the_service_was_killed(
    start_process: StartProcess, store_url: str
) -> None:
    process = start_process("--workers", "2", STORE_URL=store_url)
    given: list[str] = []

    def give_until_it_dies(number: int) -> None:
        with httpx.Client(base_url=process.base_url, timeout=30) as client:
            for count in range(10_000):
                body = {"ticket": {"title": f"ticket {number} {count}"}, "labels": HIGH}
                try:
                    response = client.post("/feedback", json=body)
                except httpx.TransportError:
                    return
                if response.status_code == httpx.codes.CREATED:
                    given.append(response.json()["feedback_id"])

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(give_until_it_dies, number)
        process.wait_for(lambda: len(given) >= 50)
        process.kill()

    database = Database(store_url)
    assert set(given) <= {row["feedback_id"] for row in rows_of(database, feedback)}
    database.close()
