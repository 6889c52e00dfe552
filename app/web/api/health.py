"""Health under every name that clients and orchestrators use. Never limited, and never asks for a key."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from app.errors import DRAINING, MODEL_NOT_LOADED, ServiceError
from app.models.schemas import Status
from app.serving.registry import LoadedModel
from app.web.api.classify import current_model
from app.web.api.documentation import COMMON_ERRORS, error_responses

HEALTH_PATHS: Final = frozenset({"/", "/health", "/health/live", "/health/ready", "/livez", "/readyz"})

_READY_ERRORS: Final = error_responses([*COMMON_ERRORS, MODEL_NOT_LOADED, DRAINING])

router = APIRouter(tags=["health"], responses=error_responses(COMMON_ERRORS))


@router.get("/")
async def root() -> Status:
    """Say that the service runs; kept for old clients."""
    return Status(status="healthy", message="The ticket classifier is running.")


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
