"""What each part of a request to ``/classify`` costs by itself, in this process and without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from app.config import Settings
from app.insights.drift import DriftMonitor
from app.limits.clients import ClientIdentifier
from app.limits.local import LocalRateLimiter
from app.logging_utils import RequestLog, configure_logging
from app.main import create_app
from app.metrics.service_metrics import Metrics
from app.metrics.shared_values import SharedValues
from app.models.classifier import TicketClassifier
from app.models.schemas import Ticket
from app.serving.classification_json import prediction_members, text_members
from app.store.ids import new_id
from app.web.api.json_body import decode_strict, validate
from benchmarks.http_path import N_CONNECTIONS, TICKET
from benchmarks.measuring import Figure, Subject, seconds_of

_TURNS = 20
_CALLS = 200
_BODY = json.dumps(TICKET).encode()
_HEADERS = [
    (b"host", b"127.0.0.1:8000"),
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_BODY)),
]
_PEER = ("127.0.0.1", 50_000)


def measure(subject: Subject) -> list[Figure]:
    return [*_figures(subject)]


def _figures(subject: Subject) -> Iterator[Figure]:
    classifier = TicketClassifier.load(subject.model_directory)
    title, description = TICKET["title"], TICKET["description"]
    ticket = validate(decode_strict(_BODY), Ticket)
    prediction = classifier.predict(title, description)
    values, clients = SharedValues(), ClientIdentifier()
    metrics, drift = Metrics(values), DriftMonitor(values, window=1000)
    drift.use(classifier.reference)
    limiter = LocalRateLimiter(limit=10**9, window_seconds=60)

    def count() -> None:
        metrics.predicted(prediction)
        drift.observe(prediction, n_characters=len(title) + len(description))
        metrics.request_completed(route="/classify", method="POST", status=200, seconds=0.001, error=None)

    def answer() -> bytes:
        members = prediction_members(prediction, prediction_id=new_id(), ticket_id=None, version=classifier.version)
        return f"{{{text_members(ticket)},{members}}}".encode()

    def limit() -> None:
        with contextlib.suppress(StopIteration):
            limiter.hit(clients.identify(_HEADERS, _PEER).identity).send(None)

    titles, descriptions = [title] * N_CONNECTIONS, [description] * N_CONNECTIONS
    parts: dict[str, Callable[[], object]] = {
        "decode and validate": lambda: validate(decode_strict(_BODY), Ticket),
        "predict, alone": lambda: classifier.predict(title, description),
        "write the answer": answer,
        "find the client, count it": limit,
        "count metrics and drift": count,
    }
    for name, part in parts.items():
        yield Figure(f"part: {name}", "µs", _microseconds(part, subject.rounds))
    together = _microseconds(lambda: classifier.predict_batch(titles, descriptions), subject.rounds, calls=20)
    name = f"part: predict, {N_CONNECTIONS} together"
    yield Figure(name, "µs", tuple(microseconds / N_CONNECTIONS for microseconds in together))
    with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
        logging_figure = asyncio.run(_log_lines(subject.rounds))
        whole = asyncio.run(_whole_requests(subject))
    yield logging_figure
    yield whole


async def _log_lines(rounds: int) -> Figure:
    log = RequestLog(configure_logging("INFO", structured=True))
    values = []
    for _ in range(rounds):
        best = float("inf")
        for _ in range(_TURNS):
            best = min(best, seconds_of(lambda: _complete(log)))
            await asyncio.sleep(0)
        values.append(best / N_CONNECTIONS * 1e6)
    return Figure("part: format the log line", "µs", tuple(values))


def _complete(log: RequestLog) -> None:
    for _ in range(N_CONNECTIONS):
        log.completed(
            request_id="0" * 32,
            method="POST",
            path="/classify",
            status_code=200,
            latency_ms=1.0,
            error=None,
            may_wait=True,
        )


async def _whole_requests(subject: Subject) -> Figure:
    models = str(subject.model_directory.parent)
    app = create_app(Settings(models_base_dir=models, rate_limit_requests=1_000_000, store_url="off"))
    values = []
    async with app.router.lifespan_context(app) as state:
        for _ in range(subject.rounds):
            best = float("inf")
            for _ in range(_TURNS):
                best = min(best, await seconds_of_requests(app, state or {}))
            values.append(best / N_CONNECTIONS * 1e6)
    return Figure(f"the whole application, {N_CONNECTIONS} together", "µs", tuple(values))


async def seconds_of_requests(
    app: ASGIApp, state: Mapping[str, Any], *, n_requests: int = N_CONNECTIONS, status: int = 200
) -> float:
    """Return the processor time of so many requests, all at once, which ``app`` must answer with ``status``."""
    before = time.thread_time()
    await asyncio.gather(*[_request(app, dict(state), status) for _ in range(n_requests)])
    return time.thread_time() - before


async def _request(app: ASGIApp, state: dict[str, Any], status: int) -> None:
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/classify",
        "raw_path": b"/classify",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": _HEADERS,
        "client": _PEER,
        "server": ("127.0.0.1", 8000),
        "state": state,
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Message) -> None:
        if message.get("status", status) != status:
            raise RuntimeError(f"/classify answered {message['status']}")

    await app(scope, receive, send)


def _microseconds(work: Callable[[], object], rounds: int, *, calls: int = _CALLS) -> tuple[float, ...]:
    """Return the best of some turns of each round."""

    def work_often() -> None:
        for _ in range(calls):
            work()

    return tuple(min(seconds_of(work_often) for _ in range(_TURNS)) / calls * 1e6 for _ in range(rounds))
