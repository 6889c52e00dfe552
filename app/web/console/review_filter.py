"""The tickets of a filter: which they are, what accepting all of them together would mean, and doing it."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from app.errors import VALIDATION_FAILED, FieldError, ServiceError
from app.feedback.agreement import Share, share_of
from app.store.accepting import (
    Forecast,
    HeadForecast,
    Part,
    Together,
    accept_some,
    batches_of,
    forecast,
    take_some_back,
    together_key,
)
from app.store.review_queue import Filters, review_page
from app.web.api.classify import current_model
from app.web.api.feedback import judging_rules
from app.web.api.review_bodies import MAX_FILTER_CHARACTERS
from app.web.api.store_access import store_of
from app.web.console.review_desk_of import a_day_before, desk_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from starlette.responses import Response

    from app.feedback.keeper import PromiseKeeper
    from app.feedback.standing import Standing
    from app.web.console.page import PageRequest
    from app.web.console.review_options import ReviewOptions

DECISIONS: Final = ("auto", "suggest", "review")

_LISTED: Final = 20
# A filter that fits few items looks at many, and must not make the store look as if it did not answer.
_SECONDS: Final = 20.0
# One answer takes about so long at most; then the page asks for more by itself.
_STEP_SECONDS: Final = 1.5
# Parts that an answer does at most, whatever the time.
_MAX_PARTS: Final = 20
_KEY_BYTES: Final = 16
_KEY: Final = re.compile(r"[0-9a-f]{32}")
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER: Final = re.compile(r"[0-9]{1,6}", re.ASCII)
# Between head and label in the value of an option; no head has it.
_BETWEEN: Final = "\t"


@dataclass(frozen=True, slots=True)
class ShownForecast:
    """What is known of the answers of one head before all of a filter are accepted."""

    of: HeadForecast
    found: Share
    promises: tuple[Standing, ...]


async def show_filter(request: PageRequest, _: ReviewOptions) -> Response:
    filters, store = _filters(request), store_of(request.state)
    seen = await store.run(partial(forecast, filters=filters, desk=desk_of(request)), seconds=_SECONDS)
    listed = await store.run(partial(review_page, filters=filters, limit=_LISTED), seconds=_SECONDS)
    return request.render(
        "review_filter.html",
        filters=filters,
        answer=request.fields.get("answer", ""),
        options=answer_options(request),
        decisions=DECISIONS,
        seen=seen,
        items=listed.items,
        heads=_shown(request, seen, filters),
        key=secrets.token_hex(_KEY_BYTES),
    )


async def accept(request: PageRequest, options: ReviewOptions) -> Response:
    fields = request.fields
    if "understood" not in fields:
        raise ServiceError(VALIDATION_FAILED, errors=[FieldError("understood", "must be ticked")])
    identity = request.client.identity
    key = together_key(identity, _field(request, "key", _KEY))
    together = Together(
        _filters(request), _field(request, "until", _ID), int(_field(request, "n_tickets", _NUMBER)), key
    )
    step = partial(
        accept_some,
        together=together,
        desk=desk_of(request),
        judge=judging_rules(request.state),
        keeps_text=options.keeps_text,
    )
    part = await _in_parts(lambda: store_of(request.state).run(step))
    done = part.n_tickets + _done_before(request)
    sent = {name: value for name, value in fields.items() if name not in {"csrf_token", "done"}}
    return request.render(
        "review_accepted.html", is_last=part.is_last, done=done, n_tickets=together.n_tickets, sent=sent, batch=key
    )


async def take_all_back(request: PageRequest, options: ReviewOptions) -> Response:
    key, store = _field(request, "batch", _KEY), store_of(request.state)
    now_ms = time.time_ns() // 1_000_000
    own = await store.run(partial(batches_of, reviewer=request.client.name, since_ms=a_day_before(now_ms)))
    done, is_last = _done_before(request), True
    if any(batch.key == key for batch in own):
        step = partial(take_some_back, key=key, now_ms=now_ms, keeps_text=options.keeps_text)
        part = await _in_parts(lambda: store.run(step))
        done, is_last = done + part.n_tickets, part.is_last
    return request.render("review_taken_back.html", is_last=is_last, done=done, batch=key)


def answer_options(request: PageRequest) -> dict[str, list[tuple[str, str]]]:
    """Return what to choose from, by head: values of the field, and what people read."""
    classifier = current_model(request.state["registry"]).classifier
    return {
        head: [
            (f"{head}{_BETWEEN}", f"any {head}"),
            *((f"{head}{_BETWEEN}{label}", label) for label in classifier.labels(head)),
        ]
        for head in classifier.heads
    }


async def _in_parts(step: Callable[[], Awaitable[Part]]) -> Part:
    """Do one part after the other, so that others get in between, until all is done or time is up."""
    deadline, n_tickets = time.monotonic() + _STEP_SECONDS, 0
    for _ in range(_MAX_PARTS):
        part = await step()
        n_tickets += part.n_tickets
        if part.is_last:
            return Part(n_tickets, is_last=True)
        if time.monotonic() > deadline:
            break
    return Part(n_tickets, is_last=False)


def _filters(request: PageRequest) -> Filters:
    head, _, label = request.fields.get("answer", "").partition(_BETWEEN)
    decision = request.fields.get("decision", "")
    if max(len(head), len(label)) > MAX_FILTER_CHARACTERS or "\x00" in head + label:
        raise ServiceError(VALIDATION_FAILED, errors=[FieldError("answer", "must be one of those to choose from")])
    if decision not in {"", *DECISIONS}:
        raise ServiceError(VALIDATION_FAILED, errors=[FieldError("decision", f"must be one of {', '.join(DECISIONS)}")])
    return Filters(head or None, label or None, decision or None)


def _field(request: PageRequest, name: str, form: re.Pattern[str]) -> str:
    value = request.fields.get(name, "")
    if not form.fullmatch(value):
        raise ServiceError(VALIDATION_FAILED, errors=[FieldError(name, "must be as the page had it")])
    return value


def _done_before(request: PageRequest) -> int:
    done = request.fields.get("done", "0")
    return int(done) if _NUMBER.fullmatch(done) else 0


def _shown(request: PageRequest, seen: Forecast, filters: Filters) -> Sequence[ShownForecast]:
    keeper: PromiseKeeper | None = request.state["promises"]
    standings = () if keeper is None else keeper.standings()
    return [
        ShownForecast(head, share_of(head.n_right, head.n_judged), tuple(_promises(standings, head.head, filters)))
        for head in seen.heads
    ]


def _promises(standings: Iterable[Standing], head: str, filters: Filters) -> Iterable[Standing]:
    """Yield what is promised of ``head``: of the label that is asked for, else of the head as a whole."""
    label = (filters.label or "") if head == filters.head else ""
    return (one for one in standings if (one.promise.of.head, one.promise.of.label) == (head, label))
