"""``POST /feedback``, ``POST /feedback/batch`` and ``DELETE /feedback/{feedback_id}``: what people say of answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from app.errors import (
    IDEMPOTENCY_MISMATCH,
    INVALID_API_KEY,
    MODEL_NOT_LOADED,
    STORE_OFF,
    STORE_UNAVAILABLE,
    UNKNOWN_FEEDBACK,
    UNKNOWN_LABEL,
    UNKNOWN_PREDICTION,
    VALIDATION_FAILED,
    FieldError,
    ServiceError,
)
from app.feedback.judging import judging_by
from app.limits.clients import Role
from app.store.judgement import Recorded, Remark
from app.web.api.classify import current_model
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.feedback_bodies import (
    Feedback,
    FeedbackAnswer,
    FeedbackBatch,
    FeedbackBatchAnswer,
    FeedbackHeaders,
    FeedbackParameters,
    TakenBack,
    is_idempotency_key,
)
from app.web.api.json_body import JSON_BODY_ERRORS, check_content_headers, decode_strict, read_body, read_path, validate
from app.web.api.store_access import store_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from app.limits.clients import Client
    from app.store.database import Database
    from app.store.feedback import Judge

FEEDBACK_PATH: Final = "/feedback"
FEEDBACK_BATCH_PATH: Final = "/feedback/batch"
FEEDBACK_BATCH_MAX_BODY_BYTES: Final = 1 << 20

# Feedback may overtake its prediction, which another worker has still to write.
_WAIT_SECONDS: Final = 2.0
# Longer than answers usually wait to be written, all together.
_ON_ITS_WAY_SECONDS: Final = 0.4
_FIRST_PAUSE_SECONDS: Final = 0.05
_MAX_PAUSE_SECONDS: Final = 0.25

_ERRORS: Final = (*LIMITED_ERRORS, STORE_UNAVAILABLE, STORE_OFF)
_BATCH_ERRORS: Final = (*_ERRORS, *JSON_BODY_ERRORS, MODEL_NOT_LOADED)
_FEEDBACK_ERRORS: Final = (*_BATCH_ERRORS, UNKNOWN_PREDICTION, UNKNOWN_LABEL, IDEMPOTENCY_MISMATCH)


def feedback_routes(*, keeps_text: bool, needs_api_key: bool) -> list[DirectRoute]:
    """Return the routes; without ``keeps_text`` what is said is kept, but not the text that comes along."""
    of_key = (INVALID_API_KEY,) if needs_api_key else ()
    return [
        DirectRoute(
            FEEDBACK_PATH,
            partial(_give, keeps_text=keeps_text),
            name="give_feedback",
            summary="Say which labels of one ticket are right",
            header_model=FeedbackHeaders,
            request_model=Feedback,
            response_model=FeedbackAnswer,
            status_code=201,
            errors=(*_FEEDBACK_ERRORS, *of_key),
        ),
        DirectRoute(
            FEEDBACK_BATCH_PATH,
            partial(_give_batch, keeps_text=keeps_text),
            name="give_feedback_batch",
            summary="Say which labels of several tickets are right",
            header_model=FeedbackHeaders,
            request_model=FeedbackBatch,
            response_model=FeedbackBatchAnswer,
            errors=(*_BATCH_ERRORS, *of_key),
        ),
        DirectRoute(
            FEEDBACK_PATH + "/{feedback_id}",
            partial(_take_back, keeps_text=keeps_text),
            method="DELETE",
            name="take_feedback_back",
            summary="Take a feedback back",
            response_model=TakenBack,
            errors=(*_ERRORS, VALIDATION_FAILED, UNKNOWN_FEEDBACK, *of_key),
        ),
    ]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who gives feedback, and under which key."""

    # Of a reviewer's key its owner, whatever the body says.
    reviewer: str | None
    # Whose keys they are: those of different API keys never meet; callers without one share theirs.
    identity: str
    idempotency_key: str | None

    @classmethod
    def of(cls, scope: Scope, *, form_key: str | None = None) -> Caller:
        """Return who sent a request; ``form_key`` is the idempotency key of a form, which can send no header."""
        client: Client = scope["state"]["client"]
        key = _idempotency_key(scope) or form_key
        return cls(client.name, client.identity if client.role > Role.ANYONE else "", key)

    def remark(self, content: object, number: int) -> Remark:
        """Return what ``content``, the body or the one of this ``number`` in it, says; raise ``ServiceError`` (422)."""
        body = validate(content, Feedback)
        key = body_sha256 = None
        if self.idempotency_key is not None:
            key = _sha256(f"{self.identity}\n{self.idempotency_key}\n{number}")
            body_sha256 = _sha256(body.model_dump_json())
        return Remark(
            labels=body.labels,
            source=body.source,
            prediction_id=body.prediction_id,
            ticket_id=body.ticket_id,
            title=None if body.ticket is None else body.ticket.title,
            description=None if body.ticket is None else body.ticket.description,
            reviewer=self.reviewer or body.reviewer,
            allow_new_labels=body.allow_new_labels,
            idempotency_key=key,
            body_sha256=body_sha256,
        )


def _sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _idempotency_key(scope: Scope) -> str | None:
    values: list[bytes] = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not values:
        return None
    if len(values) > 1 or not is_idempotency_key(values[0]):
        error = FieldError("Idempotency-Key", "must be given once, with 1 to 255 visible ASCII characters")
        raise ServiceError(VALIDATION_FAILED, "A header is not what this path takes.", errors=[error])
    return values[0].decode()


async def _give(scope: Scope, receive: Receive, send: Send, *, keeps_text: bool) -> None:
    state = scope["state"]
    store_of(state)
    check_content_headers(scope)
    caller = Caller.of(scope)
    remark = caller.remark(decode_strict(await read_body(receive)), 0)
    (outcome,) = await _recorded(state, [remark], keeps_text=keeps_text)
    if isinstance(outcome, ServiceError):
        raise outcome
    await send_json(send, json.dumps(_answer(outcome)).encode(), status=201)


async def _give_batch(scope: Scope, receive: Receive, send: Send, *, keeps_text: bool) -> None:
    state = scope["state"]
    store_of(state)
    check_content_headers(scope)
    caller = Caller.of(scope)
    body = await read_body(receive)
    # A thousand of them would hold up everything else.
    rows = await asyncio.to_thread(lambda: _rows(validate(decode_strict(body), FeedbackBatch), caller))
    remarks = [row for row in rows if isinstance(row, Remark)]
    outcomes = iter(await _recorded(state, remarks, keeps_text=keeps_text))
    results = [_answer(next(outcomes) if isinstance(row, Remark) else row) for row in rows]
    await send_json(send, json.dumps({"results": results}).encode())


def _rows(batch: FeedbackBatch, caller: Caller) -> list[Remark | ServiceError]:
    rows: list[Remark | ServiceError] = []
    for number, content in enumerate(batch.feedback):
        try:
            rows.append(caller.remark(content, number))
        except ServiceError as error:
            rows.append(error)
    return rows


def _answer(outcome: Recorded | ServiceError) -> dict[str, object]:
    if isinstance(outcome, ServiceError):
        fields = "; ".join(f"{error.field} {error.message}" for error in outcome.errors)
        return {"error": outcome.kind.slug, "detail": fields or outcome.detail}
    return {
        "feedback_id": outcome.feedback_id,
        "prediction_id": outcome.prediction_id,
        "agreed": dict(outcome.agreed),
    }


def judging_rules(state: Mapping[str, Any]) -> Judge:
    """Return what decides which labels a remark may give: those of the model that serves, and of the prediction."""
    return judging_by(current_model(state["registry"]).classifier)


async def _recorded(
    state: Mapping[str, Any], remarks: Sequence[Remark], *, keeps_text: bool
) -> list[Recorded | ServiceError]:
    """Keep ``remarks``, those of predictions that are not there yet a little later, and return what to answer."""
    from app.store.feedback import record  # noqa: PLC0415 - with the store off, its packages stay away

    store, rules = store_of(state), judging_rules(state)

    async def keep(some: Sequence[Remark], *, is_last: bool) -> list[Recorded | ServiceError]:
        def work(database: Database) -> list[Recorded | ServiceError]:
            return record(database, some, judge=rules, keeps_text=keeps_text, is_last=is_last)

        return await store.run(work) if some else []

    if any(remark.ticket_id is not None for remark in remarks):
        # The latest answer of a ticket is meant: while that is on its way, one of before may be there already.
        await asyncio.sleep(_ON_ITS_WAY_SECONDS)
    outcomes = await keep(remarks, is_last=False)
    late = [
        index
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, ServiceError) and outcome.kind is UNKNOWN_PREDICTION
    ]
    if late:
        waiting = [remarks[index] for index in late]
        await _wait_for_predictions(state, waiting)
        for index, outcome in zip(late, await keep(waiting, is_last=True), strict=True):
            outcomes[index] = outcome
    return outcomes


async def _wait_for_predictions(state: Mapping[str, Any], remarks: Sequence[Remark]) -> None:
    """Return when the predictions of all ``remarks`` are there, or have been waited for long enough."""
    from app.store.feedback import are_written  # noqa: PLC0415 - as above

    deadline = time.monotonic() + _WAIT_SECONDS
    pause_seconds = _FIRST_PAUSE_SECONDS
    while time.monotonic() < deadline:
        await asyncio.sleep(pause_seconds)
        if await store_of(state).run(partial(are_written, remarks=remarks)):
            return
        pause_seconds = min(2 * pause_seconds, _MAX_PAUSE_SECONDS)


async def _take_back(scope: Scope, _: Receive, send: Send, *, keeps_text: bool) -> None:
    from app.store.taking_back import take_back  # noqa: PLC0415 - as above

    store = store_of(scope["state"])
    feedback_id = read_path(scope, FeedbackParameters).feedback_id
    now_ms = time.time_ns() // 1_000_000
    if not await store.run(partial(take_back, feedback_id=feedback_id, now_ms=now_ms, keeps_text=keeps_text)):
        raise ServiceError(UNKNOWN_FEEDBACK)
    await send_json(send, json.dumps({"feedback_id": feedback_id, "taken_back": True}).encode())
