"""``python -m benchmarks.shortcuts``: what each shortcut of the request path gains alone, it off against it on.

Each contestant is the whole application in this process, without sockets, answering requests to ``/classify`` that come
at once; some have everything on, each other one has one thing off. They take turns within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.types import ASGIApp

from app.config import Settings
from app.errors import OVERLOADED, ServiceError
from app.logging_utils import StdoutHandler
from app.main import create_app
from app.models.classifier import Prediction
from app.models.schemas import Ticket
from app.server.server import OBJECTS_BETWEEN_COLLECTIONS
from app.serving import answering
from app.web.api import classify
from app.web.application import Dispatch
from benchmarks.http_parts import seconds_of_requests
from benchmarks.measuring import ROOT, Figure
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import figure_table

_TURNS = 25
_EVERYTHING_ON = "16 requests, everything on"
_MANY = "1,000 requests, everything on"
_REFUSED = "16 requests that find no place"


@dataclass(frozen=True, slots=True)
class Contestant:
    """An application, what must be so while it answers so many requests, and whom it is compared with."""

    name: str
    app: ASGIApp
    state: Mapping[str, Any]
    around: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    against: str | None = _EVERYTHING_ON
    n_requests: int = 16
    status: int = 200

    async def microseconds(self) -> float:
        """Return the processor time of one of the requests, the best of some turns."""
        with self.around():
            seconds = [
                await seconds_of_requests(self.app, self.state, n_requests=self.n_requests, status=self.status)
                for _ in range(_TURNS)
            ]
        return min(seconds) / self.n_requests * 1e6


def _without_dispatch(app: FastAPI) -> ASGIApp:
    """Take the layers of the framework inside of ours, down to its router, for ``/classify`` too."""
    layer: Any = app.build_middleware_stack()
    app.middleware_stack = layer
    while not isinstance(layer, Dispatch):
        layer = layer._app  # noqa: SLF001 - what is measured is how the layers are put together
    layer._methods = {classify.CLASSIFY_PATH: {"POST": AsyncExitStackMiddleware(app.router)}}  # noqa: SLF001
    return app


def _within_framework(app: FastAPI) -> ASGIApp:
    """Put the framework's outermost layers around ours."""
    bare = FastAPI(telemetry=app._telemetry, openapi_url=None)  # noqa: SLF001
    bare.router = app  # type: ignore[assignment]
    return bare


async def _one_by_one(classifier: Any, title: str, description: str) -> Prediction:  # noqa: ANN401
    prediction: Prediction = classifier.predict(title, description)
    return prediction


class _Full:
    """The admission of a service that is full, seen at once or only by who would enter."""

    def __init__(self, *, is_full: bool) -> None:
        self.is_full = is_full

    async def enter(self, _: int) -> int:
        raise ServiceError(OVERLOADED)


@contextlib.contextmanager
def _as_the_server_collects() -> Iterator[None]:
    usual = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextlib.contextmanager
def _with_encoder() -> Iterator[None]:
    """Write the answer as a dictionary for the standard encoder."""

    def texts(ticket: Ticket) -> str:
        return _members(ticket.model_dump(include={"title", "description", "customer_email"}))

    def prediction_as_dictionary(
        prediction: Prediction, *, prediction_id: str, ticket_id: str | None, version: str
    ) -> str:
        heads = {
            name: {
                "label": answer.label,
                "confidence": round(answer.confidence, 6),
                "decision": answer.decision,
                "reasons": list(answer.reasons),
                "alternatives": [{"label": label, "confidence": round(p, 6)} for label, p in answer.alternatives],
            }
            for name, answer in prediction.heads.items()
        }
        content: dict[str, object] = {"prediction_id": prediction_id, "ticket_id": ticket_id}
        for name in ("priority", "department"):
            content |= {f"predicted_{name}": heads[name]["label"], f"{name}_confidence": heads[name]["confidence"]}
        return _members({**content, "model_version": version, "needs_review": False, "predictions": heads})

    names = vars(answering)
    usual = {name: names[name] for name in ("text_members", "prediction_members")}
    names |= {"text_members": texts, "prediction_members": prediction_as_dictionary}
    try:
        yield
    finally:
        names |= usual


def _members(content: Mapping[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False)[1:-1]


@contextlib.contextmanager
def _writing_each_line() -> Iterator[None]:
    usual = StdoutHandler.write_soon
    StdoutHandler.write_soon = StdoutHandler.write_line  # type: ignore[method-assign]
    try:
        yield
    finally:
        StdoutHandler.write_soon = usual  # type: ignore[method-assign]


def _as_usual_endpoint(app: FastAPI) -> ASGIApp:
    """Have the framework parse and validate the body of ``/classify``, reached without the dispatch."""

    async def endpoint(request: Request, ticket: Ticket) -> Response:
        state = request.scope["state"]
        model = classify.current_model(state["registry"])
        prediction = await state["joint_prediction"].predict(model.classifier, ticket.title, ticket.description)
        content = state["answering"].answer(ticket, prediction, model)
        return Response(content, media_type="application/json")

    app.router.routes = [route for route in app.router.routes if getattr(route, "path", "") != "/classify"]
    app.post("/classify")(endpoint)
    return _without_dispatch(app)


async def _measure(models: Path, *, rounds: int) -> list[Figure]:
    def application() -> FastAPI:
        return create_app(
            Settings(models_base_dir=str(models), rate_limit_requests=1_000_000, log_level="INFO", store_url="off")
        )

    async with contextlib.AsyncExitStack() as stack:

        async def state_of(app: FastAPI) -> dict[str, Any]:
            lifespan: contextlib.AbstractAsyncContextManager[Any] = app.router.lifespan_context(app)
            return dict(await stack.enter_async_context(lifespan))

        app = application()
        state = await state_of(app)
        contestants = [Contestant(_EVERYTHING_ON, app, state, against=None)]
        for name, change in (
            ("inside the framework's outer layers", _within_framework),
            ("routed by the framework", _without_dispatch),
            ("parsed and routed by the framework", _as_usual_endpoint),
        ):
            other = application()
            other_state = await state_of(other)
            contestants.append(Contestant(name, change(other), other_state))
        alone = {**state, "joint_prediction": type("Alone", (), {"predict": staticmethod(_one_by_one)})()}
        refusing = {**state, "ticket_admission": _Full(is_full=True)}
        late = {**state, "ticket_admission": _Full(is_full=False)}
        contestants += [
            Contestant("every ticket predicted alone", app, alone),
            Contestant("answers through an encoder", app, state, _with_encoder),
            Contestant("every log line written by itself", app, state, _writing_each_line),
            Contestant(_MANY, app, state, _as_the_server_collects, against=None, n_requests=1000),
            Contestant("garbage collected as usual", app, state, against=_MANY, n_requests=1000),
            Contestant(_REFUSED, app, refusing, against=None, status=503),
            Contestant("refused where they would enter", app, late, against=_REFUSED, status=503),
        ]
        microseconds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
        for number in range(rounds + 1):
            for contestant in contestants:
                taken = await contestant.microseconds()
                if number:
                    microseconds[contestant.name].append(taken)
    return [*_figures(contestants, microseconds)]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortcuts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    add_keep_option(parser)
    arguments = parser.parse_args(argv)
    origin = Origin.now()
    # A pipe, as under a container engine: its reader is woken by every write.
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as reader,
        contextlib.redirect_stdout(reader.stdin),
    ):
        figures = asyncio.run(_measure(arguments.models, rounds=arguments.rounds))
    measured = {"rounds": arguments.rounds, "figures": [figure.as_document() for figure in figures]}
    print(figure_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "shortcuts", measured)
    return 0


def _figures(contestants: Iterable[Contestant], microseconds: Mapping[str, Sequence[float]]) -> Iterator[Figure]:
    """Yield the time of a request with everything on, and how much longer it takes with each thing off."""
    for contestant in contestants:
        own = microseconds[contestant.name]
        if contestant.against is None:
            yield Figure(contestant.name, "µs", tuple(own))
        else:
            pairs = zip(own, microseconds[contestant.against], strict=True)
            yield Figure(f"{contestant.name}: slower by", "%", tuple(100 * (off / on - 1) for off, on in pairs))


if __name__ == "__main__":
    sys.exit(main())
