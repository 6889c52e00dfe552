from __future__ import annotations

import gzip
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from app.models.classifier import TicketClassifier
from app.store.ids import milliseconds_of

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.conftest import Service, StartService, WriteModel

TITLE, DESCRIPTION = "Server is down", "Main server offline all users impacted"
KEYS = [
    "title",
    "description",
    "customer_email",
    "prediction_id",
    "ticket_id",
    "predicted_priority",
    "predicted_department",
    "priority_confidence",
    "department_confidence",
    "model_version",
    "needs_review",
    "predictions",
]


def ticket(**fields: object) -> dict[str, object]:
    return {"title": TITLE, "description": DESCRIPTION, **fields}


def assert_error(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"], body["code"]) == (status, slug, f"HTTP_{status}")
    assert set(body) == {"detail", "code", "error", "request_id"} | ({"errors"} if status == 422 else set())
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return body


def test_the_answer_is_that_of_the_loaded_model(service: Service, models_dir: Path) -> None:
    response = service.classify(ticket(customer_email="jane@example.com"))

    expected = TicketClassifier.load(models_dir / "v1.0.0").predict(TITLE, DESCRIPTION)
    body = response.json()
    assert response.status_code == 200
    assert list(body) == KEYS
    assert (body["title"], body["description"]) == (TITLE, DESCRIPTION)
    assert body["customer_email"] == "jane@example.com"
    assert body["model_version"] == "1.0.0"
    assert body["needs_review"] is any(head.decision == "review" for head in expected.heads.values())
    assert list(body["predictions"]) == list(expected.heads)
    for name, head in expected.heads.items():
        answer = body["predictions"][name]
        assert list(answer) == ["label", "confidence", "decision", "reasons", "alternatives"]
        assert body[f"predicted_{name}"] == answer["label"] == head.label
        assert body[f"{name}_confidence"] == answer["confidence"] == pytest.approx(head.confidence, abs=1e-6)
        assert (answer["decision"], answer["reasons"]) == (head.decision, list(head.reasons))
        assert [other["label"] for other in answer["alternatives"]] == [other.label for other in head.alternatives]


def test_a_ticket_without_a_description_has_a_title_only(service: Service) -> None:
    left_out, empty = service.classify({"title": TITLE}), service.classify({"title": TITLE, "description": ""})

    assert left_out.status_code == 200
    assert {**left_out.json(), "prediction_id": None} == {**empty.json(), "prediction_id": None}
    assert left_out.json()["description"] == ""


def test_a_ticket_without_a_known_word_is_for_review(service: Service) -> None:
    body = service.classify(ticket(title="Qwertz", description="Yxcvb")).json()

    assert body["needs_review"] is True
    assert body["predictions"]["priority"]["decision"] == "review"
    assert body["predictions"]["priority"]["reasons"] == ["no_known_words"]


def test_heads_that_the_model_lacks_are_null_and_others_are_answered(
    start_service: StartService, write_model: WriteModel, tmp_path: Path
) -> None:
    write_model(tmp_path, "2.0.0", {"department": ("A", "B", "C"), "sprache": ("de", "en")})

    body = start_service(models_base_dir=str(tmp_path)).classify().json()

    assert list(body) == KEYS
    assert (body["predicted_priority"], body["priority_confidence"]) == (None, None)
    assert body["predicted_department"] in {"A", "B", "C"}
    assert set(body["predictions"]) == {"department", "sprache"}


def test_the_optional_address_may_be_left_out_or_null(service: Service) -> None:
    assert service.classify(ticket()).json()["customer_email"] is None
    assert service.classify(ticket(customer_email=None)).json()["customer_email"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "x" * 300},
        {"description": "y" * 20_000},
        {"title": "", "description": "server"},
        {"title": "server", "description": " \n\t"},
        {"title": "日本語 \U0001f600 שלום", "description": "\U0001f600 combining e\u0301 \u200b"},
        {"title": "</script><b>", "description": '"quotes" \\ back \u2028 \u007f'},
        {"customer_email": "a.b+c!#$%&'*/=?^_`{|}~-@sub.example-host.co"},
        {"customer_email": "ü@müller.example"},
        {"customer_email": "a" * 64 + "@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + ".com"},
        {"ticket_id": "4711"},
        {"ticket_id": "x" * 128},
        {"ticket_id": 'DESK-7 / "Zürich" \\ 東京 \U0001f600'},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_valid_tickets_come_back_as_they_were_sent(service: Service, fields: dict[str, str]) -> None:
    response = service.classify(ticket(**fields))

    assert response.status_code == 200, response.text
    assert {name: response.json()[name] for name in fields} == fields


def test_every_answer_has_an_id_of_its_own_that_sorts_by_time(service: Service) -> None:
    before_ms = time.time_ns() // 1_000_000
    bodies = [service.classify(ticket(ticket_id="4711")).json() for _ in range(3)]
    batch = service.classify({"tickets": [ticket(), ticket(ticket_id="a"), ticket()]}, path="/classify/batch").json()
    bodies += batch["results"]
    after_ms = time.time_ns() // 1_000_000

    ids = [body["prediction_id"] for body in bodies]
    assert len(set(ids)) == 6
    assert ids == sorted(ids)
    assert all(before_ms <= milliseconds_of(one) <= after_ms for one in ids)
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert [body["ticket_id"] for body in bodies] == ["4711", "4711", "4711", None, "a", None]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"description": DESCRIPTION}, "title"),
        ({"title": TITLE, "description": None}, "description"),
        (ticket(title="x" * 301), "title"),
        (ticket(description="x" * 20_001), "description"),
        (ticket(title=None), "title"),
        (ticket(title=5), "title"),
        (ticket(title=["x"]), "title"),
        (ticket(description=True), "description"),
        (ticket(description={}), "description"),
        (ticket(title="", description=""), "(body)"),
        ({"title": " "}, "(body)"),
        (ticket(title=" \t", description="\n\u3000"), "(body)"),
        (ticket(title="a\0b"), "(body)"),
        (ticket(description="\0"), "(body)"),
        (ticket(customer_email="no address"), "customer_email"),
        (ticket(customer_email="a@b"), "customer_email"),
        (ticket(customer_email="a@@example.com"), "customer_email"),
        (ticket(customer_email=".a@example.com"), "customer_email"),
        (ticket(customer_email="a@-example.com"), "customer_email"),
        (ticket(customer_email="a@example.com\n"), "customer_email"),
        (ticket(customer_email="a\0@example.com"), "customer_email"),
        (ticket(customer_email="x" * 250 + "@example.com"), "customer_email"),
        (ticket(customer_email=7), "customer_email"),
        (ticket(ticket_id=""), "ticket_id"),
        (ticket(ticket_id="x" * 129), "ticket_id"),
        (ticket(ticket_id=7), "ticket_id"),
        (ticket(ticket_id="a\0b"), "ticket_id"),
        (ticket(ticket_id="a\tb"), "ticket_id"),
        (ticket(ticket_id="4711\n"), "ticket_id"),
        (ticket(ticket_id="a\x7fb"), "ticket_id"),
        (ticket(ticket_id="a\u0085b"), "ticket_id"),
        (ticket(ticket_id="a\u00a0b"), "ticket_id"),
        (ticket(ticket_id="a\u200bb"), "ticket_id"),
        (ticket(ticket_id="a\u202eb"), "ticket_id"),
        (ticket(ticket_id="a\u2028b"), "ticket_id"),
        (ticket(ticket_id="\ufeff4711"), "ticket_id"),
        (ticket(unknown=1), "(unknown field)"),
        (ticket(Title="x"), "(unknown field)"),
        ([], "(body)"),
        ("text", "(body)"),
        (None, "(body)"),
        (1.5, "(body)"),
    ],
)
def test_invalid_tickets_are_refused_and_the_field_is_named(service: Service, body: object, field: str) -> None:
    response = service.classify(body)

    errors = assert_error(response, 422, "validation_failed")["errors"]
    assert [error["field"] for error in errors] == [field]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b'{"title": "a", "description": "b",}',
        b'{"title": "a", "title": "a", "description": "b"}',
        b'{"title": "a", "description": "b", "customer_email": NaN}',
        b'{"title": Infinity, "description": "b"}',
        b'{"title": -Infinity, "description": "b"}',
        b'{"title": "\\ud800", "description": "b"}',
        b'{"title": "a", "description": "\\udc00\\ud800"}',
        b'{"\\ud800": "a", "title": "a", "description": "b"}',
        b'{"title": "raw \n line break", "description": "b"}',
        b"{'title': 'a', 'description': 'b'}",
        b'\xef\xbb\xbf{"title": "a", "description": "b"}',
        '{"title": "a", "description": "b"}'.encode("utf-16"),
        b'{"title": "\xff", "description": "b"}',
        b'{"title": "\xed\xa0\x80", "description": "b"}',
        b"[" * 60_000,
        b'{"title": ' + b"9" * 5_000 + b', "description": "b"}',
        b'{"title": "a", "description": "b"} x',
    ],
)
def test_what_is_not_strict_json_is_refused(service: Service, content: bytes) -> None:
    assert_error(service.classify_bytes(content), 422, "malformed_json")


@pytest.mark.parametrize(
    "body",
    [
        ticket(canaryfield="canaryvalue"),
        ticket(title=["canaryvalue"]),
        ticket(title="canaryvalue" * 100),
        ticket(customer_email="canaryvalue"),
        ticket(ticket_id="canaryvalue" * 20),
        ticket(ticket_id="canaryvalue\n"),
        {"canaryfield": {"canaryfield": "canaryvalue"}},
        "canaryvalue",
    ],
)
def test_an_error_never_repeats_what_was_sent(
    service: Service, body: object, capsys: pytest.CaptureFixture[str]
) -> None:
    response = service.classify(body)

    assert response.status_code == 422
    assert "canary" not in response.text + capsys.readouterr().out
    assert "canary" not in str(response.headers)


def test_a_malformed_body_is_not_repeated_either(service: Service) -> None:
    for content in (b'{"canary": canary', b'{"canary": 1, "canary": 2}', b'{"a": canary}', b"canary"):
        assert "canary" not in service.classify_bytes(content).text


def test_the_number_of_reported_errors_is_bounded(service: Service) -> None:
    response = service.classify({f"field{i}": i for i in range(2_000)})

    assert len(assert_error(response, 422, "validation_failed")["errors"]) == 20


@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=latin-1",
        "application/json, text/plain",
        "application/problem+json",
    ],
)
def test_another_content_type_is_refused(service: Service, path: str, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    content = json.dumps(ticket()).encode()

    assert_error(service.request("POST", path, content=content, headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_utf_8_may_be_said_with_the_content_type(service: Service, content_type: str) -> None:
    assert service.classify(headers={"Content-Type": content_type}).status_code == 200


@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
def test_a_content_encoding_is_refused(service: Service, path: str) -> None:
    content = gzip.compress(json.dumps(ticket()).encode())

    response = service.classify_bytes(content, path=path, headers={"Content-Encoding": "gzip"})

    assert_error(response, 415, "unsupported_content_encoding")


@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
def test_without_a_model_nothing_is_classified(start_service: StartService, tmp_path: Path, path: str) -> None:
    response = start_service(models_base_dir=str(tmp_path)).classify(path=path)

    assert_error(response, 503, "model_not_loaded")
    assert int(response.headers["retry-after"]) >= 1
