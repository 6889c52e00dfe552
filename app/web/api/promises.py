"""``GET /model/promises`` and ``POST /model/promises/reset``: which precision is promised, and whether it is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.errors import (
    ADMIN_DISABLED,
    ADMIN_KEY_REQUIRED,
    INVALID_API_KEY,
    STORE_OFF,
    STORE_UNAVAILABLE,
    VALIDATION_FAILED,
    FieldError,
    ServiceError,
)
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.json_body import JSON_BODY_ERRORS, check_content_headers, decode_strict, read_body, validate
from app.web.api.store_access import store_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from app.feedback.keeper import PromiseKeeper, Report
    from app.feedback.standing import Standing

PROMISES_PATH: Final = "/model/promises"
RESET_PATH: Final = "/model/promises/reset"

_MAX_NAME_CHARACTERS: Final = 200
_DIGITS: Final = 4
_STORE_ERRORS: Final = (STORE_OFF, STORE_UNAVAILABLE)
_NOT_PROMISED: Final = "is nothing that the version which serves promises"

_Name = Annotated[str, Field(min_length=1, max_length=_MAX_NAME_CHARACTERS)]


class PromiseBody(BaseModel):
    """One promise of the version that serves: a precision of ``auto``."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    version: str
    head: str
    label: str | None = Field(description="null: the head as a whole")
    target: float = Field(description="the share of auto that is to be right at least")
    n_auto: int = Field(description="answers that were auto")
    n_audited: int = Field(description="audits since the last reset; of a head, those of labels that are not broken")
    n_right: int
    precision: float | None = Field(description="n_right / n_audited; null before the first audit")
    interval: list[float] = Field(
        min_length=2, max_length=2, description="low and high: holds the precision at all times, at the promise's level"
    )
    e_value: float = Field(description="evidence against the promise")
    state: Literal["unproven", "kept", "broken"]
    since: datetime | None = Field(description="null for a state that never changed")


class Promises(BaseModel):
    """What the version that serves promises; nothing where thresholds were not chosen for a precision."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    promises: list[PromiseBody]


class PromiseReset(BaseModel):
    """Which promises begin anew: all, those of a head, or that of a label."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    head: _Name | None = None
    label: _Name | None = None


async def _promises(scope: Scope, _: Receive, send: Send) -> None:
    await _send_report(scope["state"], send)


async def _reset(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive)
    wanted = PromiseReset()
    if body:
        check_content_headers(scope)
        wanted = validate(decode_strict(body), PromiseReset)
    if wanted.label is not None and wanted.head is None:
        raise ServiceError(VALIDATION_FAILED, errors=[FieldError("head", "is required with a label")])
    state = scope["state"]
    keeper = _keeper(state)
    if keeper is not None:
        try:
            await keeper.reset(head=wanted.head, label=wanted.label)
        except LookupError:
            field = "head" if wanted.label is None else "label"
            raise ServiceError(VALIDATION_FAILED, errors=[FieldError(field, _NOT_PROMISED)]) from None
    await _send_report(state, send)


async def _send_report(state: Mapping[str, Any], send: Send) -> None:
    keeper = _keeper(state)
    report = None if keeper is None else await keeper.report()
    answer = Promises(promises=[] if report is None else [_body(report, one) for one in report.standings])
    await send_json(send, answer.model_dump_json().encode())


def _keeper(state: Mapping[str, Any]) -> PromiseKeeper | None:
    """Return who keeps the promises, or None where nobody does; raise ``ServiceError`` (503) without a store."""
    store_of(state)
    keeper: PromiseKeeper | None = state["promises"]
    return keeper


def _body(report: Report, standing: Standing) -> PromiseBody:
    of, verdict = standing.promise.of, standing.verdict
    since = None if standing.since_ms is None else datetime.fromtimestamp(standing.since_ms / 1000, UTC)
    return PromiseBody(
        version=report.version,
        head=of.head,
        label=of.label or None,
        target=standing.promise.target,
        n_auto=report.n_auto.get(of, 0),
        n_audited=verdict.n_audited,
        n_right=verdict.n_right,
        precision=None if verdict.precision is None else round(verdict.precision, _DIGITS),
        interval=[round(verdict.interval.low, _DIGITS), round(verdict.interval.high, _DIGITS)],
        e_value=float(f"{verdict.e_value:.{_DIGITS}g}"),
        state=standing.state,
        since=since,
    )


def promise_routes(*, needs_api_key: bool) -> list[DirectRoute]:
    """Return both routes."""
    of_key = (INVALID_API_KEY,) if needs_api_key else ()
    return [
        DirectRoute(
            PROMISES_PATH,
            _promises,
            method="GET",
            name="promises",
            summary="Which precision is promised, and whether it is kept",
            response_model=Promises,
            errors=(*LIMITED_ERRORS, *_STORE_ERRORS, *of_key),
        ),
        DirectRoute(
            RESET_PATH,
            _reset,
            name="reset_promises",
            summary="Let promises begin anew: audits of before count no more, and what is withdrawn comes back",
            request_model=PromiseReset,
            needs_body=False,
            response_model=Promises,
            errors=(
                *LIMITED_ERRORS,
                *JSON_BODY_ERRORS,
                *_STORE_ERRORS,
                INVALID_API_KEY,
                ADMIN_KEY_REQUIRED,
                ADMIN_DISABLED,
            ),
        ),
    ]
