"""What the page of review answers: the next ticket, and what becomes of one that is judged, skipped or taken back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from app.errors import UNKNOWN_FEEDBACK, UNKNOWN_PREDICTION, ServiceError
from app.feedback.agreement import agreements
from app.store.accepting import batches_of
from app.store.review_desk import (
    Rules,
    judge_item,
    keep_items,
    next_items,
    put_back,
    take_item,
    take_own_back,
)
from app.store.review_progress import last_judgements, read_progress
from app.store.second_readings import read_pairs
from app.web.api.classify import current_model
from app.web.api.feedback import Caller, judging_rules
from app.web.api.store_access import store_of
from app.web.console.page import to_page
from app.web.console.review_desk_of import a_day_before, desk_of
from app.web.console.review_filter import DECISIONS, accept, answer_options, show_filter, take_all_back
from app.web.console.review_shown import shown_ticket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.responses import Response

    from app.store.review_queue import ReviewItem
    from app.web.console.page import PageRequest
    from app.web.console.review_options import ReviewOptions

# What a script may have on the screen, fetched ahead, and on its way.
_MAX_WANTED: Final = 3
_MAX_IDS: Final = 50
_LABEL_FIELD: Final = "label."
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GONE: Final = "This ticket is not there any more: it was erased, or is older than what is kept."
_CONFLICTS: Final = frozenset({"lease_lost", "already_judged"})


async def _show(request: PageRequest, options: ReviewOptions) -> Response:
    if any(request.fields.get(name) for name in ("answer", "decision")):
        return await show_filter(request, options)
    wanted = request.fields.get("ticket", "")
    items = await _taken(request, wanted) if _ID.fullmatch(wanted) else []
    is_gone = bool(wanted) and not items
    items = items or await _next(request, options, count=1)
    pairs = await store_of(request.state).run(read_pairs)
    return request.render(
        "review.html",
        tickets=_shown(request, items),
        agreements=agreements(pairs),
        is_gone=is_gone,
        options=answer_options(request),
        decisions=DECISIONS,
        **await _desk_state(request),
    )


async def _next_tickets(request: PageRequest, options: ReviewOptions) -> Response:
    return await _answer(request, options)


async def _judge(request: PageRequest, options: ReviewOptions) -> Response:
    fields = request.fields
    labels = {name.removeprefix(_LABEL_FIELD): given for name, given in fields.items() if name.startswith(_LABEL_FIELD)}
    content = {"prediction_id": fields.get("prediction_id", ""), "labels": labels, "source": "review"}
    remark = Caller.of(request.scope, form_key=fields.get("key") or None).remark(content, 0)
    rules = Rules(judging_rules(request.state), options.keeps_text, options.second_reading.is_drawn)
    outcome = await store_of(request.state).run(
        partial(judge_item, remark=remark, desk=desk_of(request), rules=rules, insists="insists" in fields)
    )
    if isinstance(outcome, ServiceError):
        if outcome.kind.slug in _CONFLICTS and not request.wants_fragment:
            sent = {name: value for name, value in fields.items() if name != "csrf_token"}
            return request.render("review_refused.html", status=HTTPStatus.CONFLICT, error=outcome, sent=sent)
        raise ServiceError(UNKNOWN_PREDICTION, _GONE) if outcome.kind is UNKNOWN_PREDICTION else outcome
    return await _answer(request, options, feedback_id=outcome.feedback_id)


async def _skip(request: PageRequest, options: ReviewOptions) -> Response:
    prediction_id = request.fields.get("prediction_id", "")
    work = partial(put_back, desk=desk_of(request), prediction_id=prediction_id)
    if not _ID.fullmatch(prediction_id) or not await store_of(request.state).run(work):
        raise ServiceError(UNKNOWN_PREDICTION, _GONE)
    return await _answer(request, options)


async def _keep(request: PageRequest, _: ReviewOptions) -> Response:
    kept = await store_of(request.state).run(
        partial(keep_items, desk=desk_of(request), prediction_ids=_ids(request, "keep"))
    )
    return request.render("review_kept.html", kept=kept)


async def _take_back(request: PageRequest, options: ReviewOptions) -> Response:
    feedback_id = request.fields.get("feedback_id", "")
    work = partial(take_own_back, desk=desk_of(request), feedback_id=feedback_id, keeps_text=options.keeps_text)
    prediction_id = await store_of(request.state).run(work) if _ID.fullmatch(feedback_id) else None
    if prediction_id is None:
        raise ServiceError(UNKNOWN_FEEDBACK, "This judgement is not there, or not one of yours.")
    if not request.wants_fragment:
        return to_page(f"review?ticket={prediction_id}")
    return request.render(
        "review_fragments.html",
        tickets=_shown(request, await _taken(request, prediction_id)),
        **await _desk_state(request),
    )


async def _answer(request: PageRequest, options: ReviewOptions, *, feedback_id: str | None = None) -> Response:
    """Return the next tickets and how far the work has come; without a script, the page anew."""
    if not request.wants_fragment:
        return to_page("review")
    wanted = request.fields.get("count", "0")
    count = min(int(wanted), _MAX_WANTED) if wanted.isascii() and wanted.isdigit() else 0
    items = await _next(request, options, count=count) if count else []
    return request.render(
        "review_fragments.html",
        tickets=_shown(request, items),
        **await _desk_state(request, feedback_id),
    )


async def _next(request: PageRequest, options: ReviewOptions, *, count: int) -> list[ReviewItem]:
    work = partial(
        next_items,
        desk=desk_of(request),
        count=count,
        without=_ids(request, "without"),
        is_second=options.mixed_in.is_drawn,
    )
    return await store_of(request.state).run(work)


async def _taken(request: PageRequest, prediction_id: str) -> list[ReviewItem]:
    item = await store_of(request.state).run(partial(take_item, desk=desk_of(request), prediction_id=prediction_id))
    return [] if item is None else [item]


def _shown(request: PageRequest, items: Sequence[ReviewItem]) -> list[object]:
    if not items:
        return []
    classifier = current_model(request.state["registry"]).classifier
    return [shown_ticket(item, classifier) for item in items]


def _ids(request: PageRequest, name: str) -> list[str]:
    return _ID.findall(request.fields.get(name, ""))[:_MAX_IDS]


async def _desk_state(request: PageRequest, feedback_id: str | None = None) -> dict[str, Any]:
    """Return what stands beside the tickets: the progress of today, what may be taken back, and what was just said."""
    now, name = datetime.now(UTC).astimezone(), request.client.name
    today_ms = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
    now_ms = int(now.timestamp() * 1000)
    since_ms = a_day_before(now_ms)
    store = store_of(request.state)
    return {
        "feedback_id": feedback_id,
        "progress": await store.run(partial(read_progress, reviewer=name, since_ms=today_ms)),
        "last": await store.run(partial(last_judgements, reviewer=name, since_ms=since_ms)),
        "batches": await store.run(partial(batches_of, reviewer=name, since_ms=since_ms)),
    }


ANSWERS: Final[Mapping[str, Callable[[PageRequest, ReviewOptions], Awaitable[Response]]]] = {
    "show": _show,
    "next": _next_tickets,
    "judge": _judge,
    "skip": _skip,
    "keep": _keep,
    "take-back": _take_back,
    "accept": accept,
    "take-all-back": take_all_back,
}
