"""``DELETE /tickets/{ticket_id}``: for admins, who erase what was written in a ticket."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from app.errors import (
    ADMIN_DISABLED,
    ADMIN_KEY_REQUIRED,
    INVALID_API_KEY,
    STORE_OFF,
    STORE_UNAVAILABLE,
    VALIDATION_FAILED,
    ServiceError,
)
from app.models.schemas import TicketId
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.feedback_bodies import TicketErased
from app.web.api.json_body import read_path
from app.web.api.store_access import store_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# A large SQLite file takes seconds to be written anew.
_ERASURE_SECONDS: Final = 600.0
_NOT_GONE: Final = (
    "The text is erased, but the journal of the database is in use and may still have it: send the request again."
)


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    ticket_id: TicketId


async def _erase(scope: Scope, _: Receive, send: Send) -> None:
    from app.store.erasure import erase_ticket  # noqa: PLC0415 - with the store off, its packages stay away

    store = store_of(scope["state"])
    ticket_id = read_path(scope, _Parameters).ticket_id
    now_ms = time.time_ns() // 1_000_000
    erased = await store.run(partial(erase_ticket, ticket_id=ticket_id, now_ms=now_ms), seconds=_ERASURE_SECONDS)
    if not erased.is_gone:
        raise ServiceError(STORE_UNAVAILABLE, _NOT_GONE)
    answer = TicketErased(n_predictions=erased.n_predictions, n_feedback=erased.n_feedback)
    await send_json(send, answer.model_dump_json().encode())


# An id may have slashes, as in 2026/0815.
erase_route: Final = DirectRoute(
    "/tickets/{ticket_id:path}",
    _erase,
    method="DELETE",
    name="erase_ticket",
    summary="Erase the text and the e-mail addresses of a ticket",
    response_model=TicketErased,
    errors=(
        *LIMITED_ERRORS,
        STORE_UNAVAILABLE,
        STORE_OFF,
        VALIDATION_FAILED,
        INVALID_API_KEY,
        ADMIN_KEY_REQUIRED,
        ADMIN_DISABLED,
    ),
)
