"""Outermost: gives every request its id, every answer its log line and its metrics, and turns what fails into a 500."""

from __future__ import annotations

import logging
import os
import re
from time import perf_counter
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from app.errors import INTERNAL_ERROR, OVERLOADED
from app.logging_utils import describe_exception, request_id_var
from app.web.error_handlers import send_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.logging_utils import RequestLog
    from app.metrics.service_metrics import Metrics
    from app.web.middleware.cors import CrossOriginPolicy

logger = logging.getLogger(__name__)

_ID_BYTES: Final = 16
_IDS_AT_ONCE: Final = 64
_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


class RequestContextMiddleware:
    """Keeps the id in ``scope["state"]["request_id"]`` and in ``request_id_var``.

    What the server has refused comes with the kind of error in ``scope["state"]["refusal"]``, and is answered here, as
    is what would wait at ``admitted_paths`` when no more may wait.
    Inner middleware may append to ``scope["state"]["response_headers"]``: what is in there goes out with the answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        request_log: RequestLog,
        metrics: Metrics,
        admitted_paths: AbstractSet[str],
        cross_origin: CrossOriginPolicy | None = None,
    ) -> None:
        self._app = app
        self._request_log = request_log
        self._metrics = metrics
        self._admitted_paths = admitted_paths
        self._cross_origin = cross_origin
        self._new_ids = _new_ids()
        self._n_under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        request_id = _incoming_id(scope) or next(self._new_ids)
        response_headers = [(b"x-request-id", request_id.encode())]
        if self._cross_origin is not None:
            # Here rather than further in, so that pages can read refusals and failures too.
            response_headers += self._cross_origin.answer_headers(scope)
        state = scope["state"]
        state["request_id"] = request_id
        state["response_headers"] = response_headers
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *response_headers]
            await send(message)

        token = request_id_var.set(request_id)
        refusal = state.get("refusal")
        if refusal is None and state["route"] in self._admitted_paths and state["ticket_admission"].is_full:
            # Further in a ticket would be refused all the same, at several times the cost.
            refusal = OVERLOADED if scope["method"] == "POST" else None
        self._n_under_way += 1
        try:
            if refusal is None:
                await self._app(scope, receive, send_with_headers)
            else:
                await send_error(scope, send_with_headers, refusal)
        except ClientDisconnect:
            # Nobody is left to answer.
            pass
        except Exception as error:  # noqa: BLE001 - the last resort: whatever failed, the caller gets an answer
            logger.error("unhandled exception", extra={"traceback": describe_exception(error)})  # noqa: TRY400
            if not status:
                await send_error(scope, send_with_headers, INTERNAL_ERROR)
        finally:
            request_id_var.reset(token)
            self._n_under_way -= 1
            if status:
                self._record(scope, status=status, seconds=perf_counter() - started)

    def _record(self, scope: Scope, *, status: int, seconds: float) -> None:
        state = scope["state"]
        method, error = scope["method"], state.get("error")
        # What stands in the places of a template may be the caller's own name for a ticket.
        path = state["route"] if "path_params" in scope else scope["path"]
        self._request_log.completed(
            request_id=state["request_id"],
            method=method,
            path=path,
            status_code=status,
            latency_ms=seconds * 1000,
            error=error,
            may_wait=self._n_under_way > 0 or error == OVERLOADED.slug,
        )
        self._metrics.request_completed(
            route=state["route"], method=method, status=status, seconds=seconds, error=error
        )


def _new_ids() -> Iterator[str]:
    """Yield ids of 128 random bits in hexadecimal digits, asking the system for many at a time."""
    while True:
        block = os.urandom(_ID_BYTES * _IDS_AT_ONCE).hex()
        for start in range(0, len(block), 2 * _ID_BYTES):
            yield block[start : start + 2 * _ID_BYTES]


def _incoming_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _VALID_ID(value) else None
    return None
