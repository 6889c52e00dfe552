"""``POST /explain``: the calculation behind the answers of ``/classify``, which it neither counts nor keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from app.keys import hash_key
from tests.in_process import TICKET

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from app.serving.admission import Admission
    from tests.conftest import Service, StartService


def explain(service: Service, ticket: Mapping[str, object] = TICKET, query: str = "") -> httpx.Response:
    return service.request("POST", f"/explain{query}", json=dict(ticket))


def assert_refused(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"]) == (status, slug)
    return body


def test_it_gives_the_answers_of_classify_and_the_sums_that_they_come_from(service: Service) -> None:
    answers = service.classify(dict(TICKET)).json()
    response = explain(service)

    assert response.status_code == 200
    document = response.json()
    assert list(document) == ["model_version", "heads"]
    assert document["model_version"] == answers["model_version"]
    for name, head in document["heads"].items():
        answer = answers["predictions"][name]
        assert {key: head[key] for key in ("label", "decision", "reasons")} == {
            key: answer[key] for key in ("label", "decision", "reasons")
        }
        assert head["confidence"] == pytest.approx(answer["confidence"], abs=1e-6)
        exponentials = {label: math.exp(logit) for label, logit in head["logits"].items()}
        assert exponentials[head["label"]] / sum(exponentials.values()) == pytest.approx(head["confidence"], abs=1e-9)
        for label, logit in head["logits"].items():
            added = [term["contributions"][label] for term in head["terms"]]
            assert math.fsum([head["bias"][label], head["remaining"][label], *added]) == pytest.approx(logit, abs=1e-9)
        assert [versus["label"] for versus in head["versus"]] == [other["label"] for other in answer["alternatives"]]
        assert set(head["versus"][0]) == {"label", "for", "against", "would_flip"}
        assert head["summary"].startswith(f"“{head['label']}” with ")


def test_spans_count_code_points_of_the_text_as_it_was_sent(service: Service) -> None:
    text = "😀 <b>Server</b>\n> quoted\nis DOWN &amp; out"

    terms = explain(service, {"title": "", "description": text}).json()["heads"]["priority"]["terms"]

    shown = {term["term"]: [text[span["start"] : span["end"]] for span in term["spans"]] for term in terms}
    assert shown == {"server": ["Server"], "down": ["DOWN"]}
    assert {span["field"] for term in terms for span in term["spans"]} == {"description"}


def test_as_many_terms_are_listed_as_are_asked_for(service: Service) -> None:
    heads = explain(service, query="?limit=2").json()["heads"]
    assert {len(head["terms"]) for head in heads.values()} == {2}
    assert any(head["remaining"][label] for head in heads.values() for label in head["logits"])


def test_one_label_is_compared_if_it_is_asked_for(service: Service) -> None:
    heads = explain(service, query="?versus=Tech+Support").json()["heads"]
    answers = explain(service).json()["heads"]
    expected = [] if answers["department"]["label"] == "Tech Support" else ["Tech Support"]
    assert [versus["label"] for versus in heads["department"]["versus"]] == expected
    assert heads["priority"]["versus"] == []


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("?versus=Nowhere", "versus", "must be a label of the model"),
        ("?limit=0", "limit", "must be at least 1"),
        ("?limit=1001", "limit", "must be at most 1000"),
        ("?limit=all", "limit", "must be a whole number"),
        ("?limit=1&limit=2", "limit", "must be given once"),
        ("?secret=1", "(unknown parameter)", "is not a parameter of this path"),
    ],
)
def test_a_query_that_is_not_right_is_refused_by_its_field(
    service: Service, query: str, field: str, message: str
) -> None:
    body = assert_refused(explain(service, query=query), 422, "validation_failed")
    assert body["errors"] == [{"field": field, "message": message}]


def test_bodies_are_those_of_classify(service: Service) -> None:
    whole = {**TICKET, "customer_email": "jo@example.com", "ticket_id": "4711"}
    assert explain(service, whole).status_code == 200
    assert explain(service, {"title": "Server down"}).status_code == 200
    body = assert_refused(explain(service, {"title": " "}), 422, "validation_failed")
    assert body["errors"] == [{"field": "(body)", "message": "title and description must not both be blank"}]
    assert_refused(explain(service, {"title": "x" * 301}), 422, "validation_failed")
    assert_refused(explain(service, {"title": "x", "description": "y" * 100_000}), 413, "body_too_large")


def test_an_explanation_is_neither_counted_nor_kept(start_service: StartService, store_url: str) -> None:
    service = start_service(store_url=store_url)
    before = service.request("GET", "/model/drift").json()["n_tickets"]

    assert explain(service, {**TICKET, "ticket_id": "4711"}).status_code == 200

    assert service.request("GET", "/model/drift").json()["n_tickets"] == before
    assert "ticket_predictions_total{" not in service.request("GET", "/metrics").text
    feedback = {"ticket_id": "4711", "labels": {"priority": "High"}, "source": "api"}
    assert_refused(service.request("POST", "/feedback", json=feedback), 404, "unknown_prediction")


def test_a_withdrawn_answer_is_explained_as_suggested(service: Service) -> None:
    answer = explain(service).json()["heads"]["priority"]
    assert answer["decision"] == "auto"
    digest = service.state["registry"].current.model_digest
    service.state["withdrawn"] = {digest: frozenset({("priority", answer["label"])})}

    withdrawn = explain(service).json()["heads"]["priority"]

    assert (withdrawn["decision"], withdrawn["reasons"]) == ("suggest", ["promise_broken"])
    assert "right less often than was promised" in withdrawn["summary"]
    assert withdrawn["logits"] == answer["logits"]


def test_what_waits_for_an_explanation_is_bounded_and_holds_up_no_ticket(service: Service) -> None:
    admission: Admission = service.state["explanation_admission"]

    answers = service.request_together(90, "POST", "/explain", json=dict(TICKET))

    assert {answer.status_code for answer in answers} == {200, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["error"] for answer in refused} == {"overloaded"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert not admission.is_full
    assert service.classify(dict(TICKET)).status_code == 200


def test_of_long_tickets_fewer_explanations_wait(service: Service) -> None:
    long = {"title": "Server is down", "description": "all users of the server cannot pay " * 500}

    answers = service.request_together(30, "POST", "/explain", json=long)

    n_answered = sum(answer.status_code == 200 for answer in answers)
    assert 2 <= n_answered < 15
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"overloaded"}


def test_callers_with_a_key_may_ask(start_service: StartService) -> None:
    service = start_service(api_keys=(hash_key("caller-key"),))
    assert_refused(explain(service), 401, "invalid_api_key")
    answer = service.request("POST", "/explain", json=dict(TICKET), headers={"X-API-Key": "caller-key"})
    assert answer.status_code == 200
