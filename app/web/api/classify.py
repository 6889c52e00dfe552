"""``POST /classify`` and ``POST /classify/batch``."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import ConfigDict, Field, create_model

from app.errors import INVALID_API_KEY, MODEL_NOT_LOADED, OVERLOADED, ServiceError
from app.models.schemas import BatchClassification, Classification, Ticket
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.json_body import JSON_BODY_ERRORS, check_content_headers, decode_strict, read_body, validate
from app.web.api.working_thread import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel
    from starlette.types import Receive, Scope, Send

    from app.serving.admission import Admission
    from app.serving.answering import Answering
    from app.serving.registry import LoadedModel, ModelRegistry

CLASSIFY_PATH: Final = "/classify"
BATCH_PATH: Final = "/classify/batch"
BATCH_MAX_BODY_BYTES: Final = 1 << 20

# A ticket of this size takes a millisecond or two. A thread would make it take longer, and everything else, too: the
# two threads hand the interpreter to each other with every packet that arrives.
_INLINE_BYTES: Final = 65_536
# Up to here a ticket shares a batch with others: longer ones take their time in any case, which the others would wait.
_JOINT_BYTES: Final = 2_048

_ERRORS: Final = (*LIMITED_ERRORS, *JSON_BODY_ERRORS, MODEL_NOT_LOADED, OVERLOADED)


def classify_routes(*, batch_max_tickets: int, needs_api_key: bool) -> list[DirectRoute]:
    """Return both routes; a batch has at most ``batch_max_tickets``."""
    batch_model = _batch_model(batch_max_tickets)
    errors = (*_ERRORS, INVALID_API_KEY) if needs_api_key else _ERRORS

    return [
        DirectRoute(
            CLASSIFY_PATH,
            _classify,
            name="classify",
            summary="Classify one ticket",
            request_model=Ticket,
            response_model=Classification,
            errors=errors,
        ),
        DirectRoute(
            BATCH_PATH,
            partial(_classify_batch, batch_model=batch_model),
            name="classify_batch",
            summary="Classify several tickets",
            request_model=batch_model,
            response_model=BatchClassification,
            errors=errors,
        ),
    ]


def _batch_model(max_tickets: int) -> type[BaseModel]:
    return create_model(
        "TicketBatch",
        __doc__="Tickets to classify; one that is not valid fails the request, and the error names its index.",
        __config__=ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True),
        tickets=(Annotated[list[Ticket], Field(min_length=1, max_length=max_tickets)], ...),
    )


async def _classify(scope: Scope, receive: Receive, send: Send) -> None:
    state = scope["state"]
    model = current_model(state["registry"])
    check_content_headers(scope)
    body = await read_body(receive)
    if len(body) > _INLINE_BYTES:
        content = await in_thread(state["batch_admission"], len(body), lambda: _classified(body, model, state))
    else:
        admission: Admission = state["ticket_admission"]
        units = await admission.enter(len(body))
        try:
            if len(body) <= _JOINT_BYTES:
                content = await _classified_jointly(body, model, state)
            else:
                content = _classified(body, model, state)
        finally:
            admission.leave(units)
    await send_json(send, content.encode())


async def _classify_batch(scope: Scope, receive: Receive, send: Send, *, batch_model: type[BaseModel]) -> None:
    state = scope["state"]
    model = current_model(state["registry"])
    check_content_headers(scope)
    body = await read_body(receive)

    def classified() -> str:
        batch: Any = validate(decode_strict(body), batch_model)
        return f'{{"results":[{",".join(_answers(model, batch.tickets, state))}]}}'

    content = await in_thread(state["batch_admission"], len(body), classified)
    await send_json(send, content.encode())


async def _classified_jointly(body: bytes, model: LoadedModel, state: Mapping[str, Any]) -> str:
    ticket = validate(decode_strict(body), Ticket)
    prediction = await state["joint_prediction"].predict(model.classifier, ticket.title, ticket.description)
    answering: Answering = state["answering"]
    return answering.answer(ticket, prediction, model)


def _classified(body: bytes, model: LoadedModel, state: Mapping[str, Any]) -> str:
    ticket = validate(decode_strict(body), Ticket)
    return _answers(model, [ticket], state)[0]


def current_model(registry: ModelRegistry) -> LoadedModel:
    """Return the model that serves now; raise ``ServiceError`` (503) when there is none."""
    model = registry.current
    if model is None:
        raise ServiceError(MODEL_NOT_LOADED)
    return model


def _answers(model: LoadedModel, tickets: Sequence[Ticket], state: Mapping[str, Any]) -> list[str]:
    started = perf_counter()
    predictions = model.classifier.predict_batch(
        [ticket.title for ticket in tickets], [ticket.description for ticket in tickets]
    )
    state["metrics"].scored(perf_counter() - started)
    answering: Answering = state["answering"]
    return [
        answering.answer(ticket, prediction, model) for ticket, prediction in zip(tickets, predictions, strict=True)
    ]
