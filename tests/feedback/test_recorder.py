"""What is remembered of answers: every one of them, its text as STORE_TEXT says, and who is to be asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from app.models.artifacts import read_manifest
from app.store.database import Database
from tests.store.records import count, rows, wait_for_count

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Service, StartService

WORDS = ("down", "invoice", "main", "offline", "price", "quote", "refund", "server", "users", "qwertz")
TICKETS = tuple(
    {
        "title": f"{first} {second}",
        "description": f"{second} canary",
        "customer_email": "jane@example.com",
        "ticket_id": f"{first}/{second}",
    }
    for first in WORDS
    for second in WORDS
)


def classify_all(service: Service, path: str = "/classify/batch") -> list[dict[str, Any]]:
    if path == "/classify":
        return [service.classify(ticket).json() for ticket in TICKETS]
    middle = len(TICKETS) // 2
    return [
        answer
        for tickets in (TICKETS[:middle], TICKETS[middle:])
        for answer in service.classify({"tickets": tickets}, path=path).json()["results"]
    ]


def decisions_of(answer: Mapping[str, Any]) -> set[str]:
    return {head["decision"] for head in answer["predictions"].values()}


def texts_of(row: Mapping[str, Any]) -> list[object]:
    return [row[name] for name in ("title", "description", "customer_email")]


def stored(url: str, table: str, n_predictions: int) -> dict[str, Mapping[str, Any]]:
    with closing(Database(url)) as database:
        wait_for_count(database, "predictions", n_predictions)
        return {row["prediction_id"]: row for row in rows(database, table)}


@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
@pytest.mark.parametrize("store_text", ["none", "review", "all"])
def test_every_answer_is_recorded_and_its_text_kept_as_the_setting_says(
    start_service: StartService, models_dir: Path, store_url: str, store_text: str, path: str
) -> None:
    service = start_service(store_url=store_url, store_text=store_text, audit_share=0.5)

    answers = classify_all(service, path)

    predictions = stored(store_url, "predictions", len(answers))
    items = stored(store_url, "review_items", len(answers))
    assert sorted(predictions) == [answer["prediction_id"] for answer in answers]
    digest = read_manifest(models_dir / "v1.0.0").digest
    kinds = set()
    for answer in answers:
        row, decisions = predictions[answer["prediction_id"]], decisions_of(answer)
        is_asked = decisions != {"auto"} or row["is_audit"]
        is_kept = store_text == "all" or (store_text == "review" and is_asked)
        kinds.add((decisions == {"auto"}, "auto" in decisions, row["is_audit"]))
        assert texts_of(row) == (texts_of(answer) if is_kept else [None, None, None])
        assert (row["ticket_id"], row["model_version"], row["model_digest"]) == (answer["ticket_id"], "1.0.0", digest)
        assert row["asked_chance"] == (0.5 if decisions == {"auto"} else 1.0)
        assert (answer["prediction_id"] in items) == is_asked
        assert "auto" in decisions or not row["is_audit"]
        if is_asked:
            assert (items[answer["prediction_id"]]["rank"] == -1.0) == row["is_audit"]
    assert kinds == {
        (True, True, True),
        (True, True, False),
        (False, True, True),
        (False, True, False),
        (False, False, False),
    }


def test_heads_are_recorded_as_they_were_answered_and_counted(start_service: StartService, store_url: str) -> None:
    service = start_service(store_url=store_url)

    answers = classify_all(service)

    with closing(Database(store_url)) as database:
        wait_for_count(database, "predictions", len(answers))
        heads, counts = rows(database, "answers"), rows(database, "answer_counts")
    recorded = {
        (row["prediction_id"], row["head"]): {
            **{name: row[name] for name in ("label", "confidence", "decision")},
            **{name: json.loads(row[name]) for name in ("reasons", "alternatives")},
        }
        for row in heads
    }
    assert recorded == {
        (answer["prediction_id"], name): head for answer in answers for name, head in answer["predictions"].items()
    }
    assert {(row["head"], row["label"], row["decision"]): row["n_answers"] for row in counts} == counted(
        (name, head["label"], head["decision"]) for answer in answers for name, head in answer["predictions"].items()
    )


def counted(keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = {}
    for key in keys:
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize(("share", "n_kinds"), [(0.0, {False}), (1.0, {True})])
def test_all_or_no_auto_answers_are_audits_when_it_is_said_so(
    start_service: StartService, store_url: str, share: float, n_kinds: set[bool]
) -> None:
    service = start_service(store_url=store_url, audit_share=share)

    answers = classify_all(service)

    predictions = stored(store_url, "predictions", len(answers))
    assert {predictions[one["prediction_id"]]["is_audit"] for one in answers if "auto" in decisions_of(one)} == n_kinds


def test_the_answer_does_not_tell_an_audit(start_service: StartService, tmp_path: Path) -> None:
    services = [
        start_service(store_url=f"sqlite:///{tmp_path}/{share}.db", audit_share=share) for share in (0.0, 1.0)
    ] + [start_service(store_url="off")]

    never, always, unstored = (
        [{**answer, "prediction_id": None} for answer in classify_all(service, "/classify")] for service in services
    )

    assert never == always == unstored


def test_an_answer_without_a_store_is_the_same_and_has_an_id(service: Service) -> None:
    answer = service.classify(TICKETS[0]).json()

    assert service.state["answering"].recorder is None
    assert answer["prediction_id"]
    assert service.get("/version").json()["store"] == "off"
    assert "store_" not in "".join(
        line for line in service.get("/metrics").text.splitlines() if not line.startswith("#")
    )


def test_version_and_metrics_say_what_the_store_does(start_service: StartService, store_url: str) -> None:
    service = start_service(store_url=store_url)
    classify_all(service)
    stored(store_url, "predictions", len(TICKETS))

    assert service.get("/version").json()["store"] == store_url.partition(":")[0]
    shown = service.get("/metrics").text.splitlines()
    assert "store_reachable 1.0" in shown
    assert 'store_records_dropped_total{reason="queue_full"} 0.0' in shown


def test_a_store_that_cannot_be_reached_changes_no_answer(start_service: StartService, tmp_path: Path) -> None:
    service = start_service(store_url=f"sqlite:///{tmp_path}/missing/store.db")

    answers = classify_all(service)

    assert len(answers) == len(TICKETS)
    assert service.get("/version").json()["store"] == "unreachable"
    assert "store_reachable 0.0" in service.get("/metrics").text.splitlines()
    (tmp_path / "missing").mkdir()
    url = f"sqlite:///{tmp_path}/missing/store.db"
    with closing(Database(url)) as database:
        wait_for_count(database, "predictions", len(TICKETS))
        assert count(database, "answers") == 2 * len(TICKETS)
