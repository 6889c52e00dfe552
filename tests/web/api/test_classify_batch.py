from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.models.classifier import Prediction, TicketClassifier
from app.serving.registry import LoadedModel, ModelState

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from tests.conftest import Service, StartService

TITLE, DESCRIPTION = "Server is down", "Main server offline all users impacted"


def ticket(**fields: object) -> dict[str, object]:
    return {"title": TITLE, "description": DESCRIPTION, **fields}


def without_id(answer: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in answer.items() if name != "prediction_id"}


def assert_error(response: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"], body["code"]) == (status, slug, f"HTTP_{status}")
    assert set(body) == {"detail", "code", "error", "request_id"} | ({"errors"} if status == 422 else set())
    assert body["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return body


def test_a_batch_is_answered_in_order_and_as_one_by_one(service: Service) -> None:
    tickets = [ticket(title=f"{word} {i}") for i in range(10) for word in ("refund", "server", "quote")]

    response = service.classify({"tickets": tickets}, path="/classify/batch")

    assert response.status_code == 200
    assert list(response.json()) == ["results"]
    alone = [service.classify(single).json() for single in tickets]
    assert list(map(without_id, response.json()["results"])) == list(map(without_id, alone))


def test_one_bad_ticket_fails_the_batch_with_its_index(service: Service) -> None:
    tickets = [ticket(), ticket(), ticket(title="", description=""), ticket(customer_email="x"), ticket(canary=1)]

    response = service.classify({"tickets": tickets}, path="/classify/batch")

    errors = assert_error(response, 422, "validation_failed")["errors"]
    assert [error["field"] for error in errors] == [
        "tickets.2",
        "tickets.3.customer_email",
        "tickets.4.(unknown field)",
    ]


@pytest.mark.parametrize("n_tickets", [0, 4])
def test_a_batch_has_between_one_and_the_configured_number_of_tickets(
    start_service: StartService, n_tickets: int
) -> None:
    service = start_service(batch_max_tickets=3)

    response = service.classify({"tickets": [ticket()] * n_tickets}, path="/classify/batch")

    assert [error["field"] for error in assert_error(response, 422, "validation_failed")["errors"]] == ["tickets"]
    assert service.classify({"tickets": [ticket()] * 3}, path="/classify/batch").status_code == 200


def test_a_batch_may_have_a_mebibyte_and_a_single_ticket_may_not(service: Service) -> None:
    large = {"tickets": [ticket(description="x" * 20_000)] * 50}

    assert service.classify(large, path="/classify/batch").status_code == 200
    assert_error(service.classify(large), 413, "body_too_large")
    assert_error(service.classify({"tickets": large["tickets"] * 2}, path="/classify/batch"), 413, "body_too_large")


class Watched(TicketClassifier):
    """Notices when two batches are worked on together, and gives others time to begin."""

    running: list[int]
    are_together: threading.Event

    def predict_batch(self, titles: Sequence[str], descriptions: Sequence[str]) -> list[Prediction]:
        self.running.append(1)
        if len(self.running) > 1:
            self.are_together.set()
        self.are_together.wait(0.1)
        self.running.pop()
        return super().predict_batch(titles, descriptions)


def test_batches_are_worked_on_one_at_a_time(service: Service, models_dir: Path) -> None:
    model = Watched.load(models_dir / "v1.0.0")
    model.running, model.are_together = [], threading.Event()
    service.state["registry"].state = ModelState(LoadedModel(model, model.version, datetime.now(UTC)))

    answers = service.request_together(3, "POST", "/classify/batch", json={"tickets": [ticket()]})

    assert [answer.status_code for answer in answers] == [200] * 3
    assert not model.are_together.is_set()


class GatedThreads(ThreadPoolExecutor):
    """Threads that begin their work and go on with it when ``gate`` is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun, self.gate = asyncio.Event(), threading.Event()

    def submit(self, function: Callable[..., Any], /, *arguments: object, **named: object) -> Future[Any]:
        loop = asyncio.get_running_loop()

        def work() -> object:
            loop.call_soon_threadsafe(self.has_begun.set)
            self.gate.wait()
            return function(*arguments, **named)

        return super().submit(work)


def test_a_batch_whose_request_is_cancelled_holds_its_place_while_its_thread_works(service: Service) -> None:
    admission = service.state["batch_admission"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await service.app({**scope, "state": dict(service.state)}, receive, send)

    async def cancel_one() -> None:
        threads = GatedThreads()
        asyncio.get_running_loop().set_default_executor(threads)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            request = asyncio.create_task(client.post("/classify/batch", json={"tickets": [ticket()]}))
            await threads.has_begun.wait()
            request.cancel()
            await asyncio.wait({request})
            following = asyncio.create_task(admission.enter(1))
            for _ in range(10):
                await asyncio.sleep(0)
            has_entered = following.done()
            threads.gate.set()
            admission.leave(await following)

        assert request.cancelled()
        assert not has_entered

    asyncio.run(cancel_one())
