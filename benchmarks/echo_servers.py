"""What the service is compared with: an application that does nothing, and frameworks that only parse and encode.

Each is served by uvicorn with the event loop and the parser that the service has, and without an access log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from app.models.schemas import Classification, Ticket

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_HEAD = {"label": "High", "confidence": 0.9, "decision": "auto", "reasons": []}
_ALTERNATIVES = [{"label": "Low", "confidence": 0.06}, {"label": "Medium", "confidence": 0.04}]


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body that was sent: what uvicorn and the sockets cost by themselves."""
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


fastapi_echo = FastAPI()


@fastapi_echo.post("/classify")
async def echo(ticket: Ticket) -> Ticket:
    return ticket


@fastapi_echo.post("/answer")
async def answer(ticket: Ticket) -> Classification:
    """Return an answer as long as the service's, with nothing computed."""
    heads = {name: {**_HEAD, "alternatives": _ALTERNATIVES} for name in ("priority", "department")}
    return Classification.model_validate(
        {
            "title": ticket.title,
            "description": ticket.description,
            "customer_email": ticket.customer_email,
            "prediction_id": "019e0f5e-7a1c-7000-9abc-0123456789ab",
            "ticket_id": ticket.ticket_id,
            "predicted_priority": "High",
            "predicted_department": "High",
            "priority_confidence": 0.9,
            "department_confidence": 0.9,
            "model_version": "1.0.0",
            "needs_review": False,
            "predictions": heads,
        }
    )
