"""``POST /explain``: why a ticket gets its answers. It is neither counted nor kept, and changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from app.errors import INVALID_API_KEY, MODEL_NOT_LOADED, OVERLOADED, VALIDATION_FAILED, FieldError, ServiceError
from app.models.counterfactual import MOST_SCORINGS
from app.models.schemas import MAX_DESCRIPTION_CHARACTERS, MAX_TITLE_CHARACTERS, Ticket, TicketText
from app.models.withdrawal import withdraw_explained
from app.web.api.classify import current_model
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.explain_bodies import ExplainQuery, ExplanationBody
from app.web.api.json_body import JSON_BODY_ERRORS, check_content_headers, decode_strict, read_body, validate
from app.web.api.query import QUERY_DETAIL, read_query
from app.web.api.working_thread import Result, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from app.models.classifier import TicketClassifier
    from app.models.explanation import Explanation
    from app.serving.registry import LoadedModel

EXPLAIN_PATH: Final = "/explain"
# What the console says to a browser of a ticket that is tried.
LONGEST_TITLE: Final = MAX_TITLE_CHARACTERS
LONGEST_DESCRIPTION: Final = MAX_DESCRIPTION_CHARACTERS

_ERRORS: Final = (*LIMITED_ERRORS, *JSON_BODY_ERRORS, MODEL_NOT_LOADED, OVERLOADED)


def explain_route(*, needs_api_key: bool) -> DirectRoute:
    return DirectRoute(
        EXPLAIN_PATH,
        _explain,
        name="explain",
        summary="Explain the answers to one ticket",
        query_model=ExplainQuery,
        request_model=Ticket,
        response_model=ExplanationBody,
        errors=(*_ERRORS, INVALID_API_KEY) if needs_api_key else _ERRORS,
    )


async def _explain(scope: Scope, receive: Receive, send: Send) -> None:
    state: Mapping[str, Any] = scope["state"]
    model = current_model(state["registry"])
    query = read_query(scope, ExplainQuery)
    if query.versus is not None and not _has_label(model.classifier, query.versus):
        errors = [FieldError("versus", "must be a label of the model")]
        raise ServiceError(VALIDATION_FAILED, QUERY_DETAIL, errors=errors)
    check_content_headers(scope)
    body = await read_body(receive)

    def explained() -> bytes:
        ticket = validate(decode_strict(body), Ticket)
        text = ticket.title, ticket.description
        explanation = explain_ticket(model, state, *text, limit=query.limit, versus=query.versus)
        return json.dumps(
            explanation.as_document(), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()

    await send_json(send, await explain_in_thread(model, state, len(body), explained))


async def explain_in_thread(
    model: LoadedModel, state: Mapping[str, Any], n_bytes: int, work: Callable[[], Result]
) -> Result:
    """Do ``work``, the explanation of a ticket of ``n_bytes``; raise ``ServiceError`` (503) if too much waits already.

    Each label that is compared with makes it longer, as does each byte, until no more scorings are left for others.
    """
    n_labels = sum(len(model.classifier.labels(head)) for head in model.classifier.heads)
    return await in_thread(state["explanation_admission"], n_bytes * min(n_labels, MOST_SCORINGS), work)


def explain_ticket(
    model: LoadedModel,
    state: Mapping[str, Any],
    title: str,
    description: str,
    *,
    limit: int,
    versus: str | None = None,
) -> Explanation:
    """Explain what ``/classify`` would answer now. This takes some milliseconds, and belongs into a thread."""
    explanation = model.classifier.explain(title, description, limit=limit, versus=versus)
    return withdraw_explained(explanation, state["withdrawn"].get(model.model_digest) or ())


def check_ticket(title: str, description: str) -> None:
    """Raise ``ServiceError`` (422) for what could not be sent as a ticket."""
    validate({"title": title, "description": description}, TicketText, detail="No ticket can be like this.")


def _has_label(classifier: TicketClassifier, label: str) -> bool:
    return any(label in classifier.labels(head) for head in classifier.heads)
