"""Health under every name that clients and orchestrators use. Never limited, and never asks for a key."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, status
from starlette.responses import RedirectResponse, Response

from app.errors import DRAINING, MODEL_NOT_LOADED, ServiceError
from app.models.schemas import Status
from app.serving.registry import LoadedModel
from app.web.api.classify import current_model
from app.web.api.documentation import COMMON_ERRORS, error_responses

HEALTH_PATHS: Final = frozenset({"/", "/health", "/health/live", "/health/ready", "/livez", "/readyz"})

_READY_ERRORS: Final = error_responses([*COMMON_ERRORS, MODEL_NOT_LOADED, DRAINING])

router = APIRouter(tags=["health"], responses=error_responses(COMMON_ERRORS))


@router.get("/", response_model=Status)
async def root(request: Request) -> Response:
    """Say that the service runs, kept for old clients; browsers are sent to the console."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("console", status.HTTP_303_SEE_OTHER, {"Vary": "Accept"})
    answer = Status(status="healthy", message="The ticket classifier is running.")
    return Response(answer.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


@router.get("/health/live")
@router.get("/livez")
async def live() -> Status:
    """Say that the process answers, whether or not it has a model."""
    return Status(status="alive", message="The process answers.")


@router.get("/health/ready", responses=_READY_ERRORS)
@router.get("/readyz", responses=_READY_ERRORS)
async def ready(request: Request) -> Status:
    """Say that a prediction succeeds: a model becomes current only after it has made one."""
    model = _ready_model(request)
    return Status(status="ready", message=f"Model {model.version} answers.")


@router.get("/health", responses=_READY_ERRORS)
async def health(request: Request) -> Status:
    """Answer as ready does; kept for old clients."""
    model = _ready_model(request)
    return Status(status="healthy", message=f"Model {model.version} answers.")


def _ready_model(request: Request) -> LoadedModel:
    if request.scope["state"].get("draining"):
        raise ServiceError(DRAINING)
    return current_model(request.state.registry)
