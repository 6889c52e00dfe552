"""``GET /version``."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app import __version__
from app.models.schemas import Version
from app.web.api.documentation import LIMITED_ERRORS, error_responses

router = APIRouter(tags=["model"], responses=error_responses(LIMITED_ERRORS))


@router.get("/version")
async def version(request: Request) -> Version:
    """Say what runs: the service's version, and that of the model which is really loaded."""
    state, store = request.state.registry.state, request.state.store
    model = state.model
    return Version(
        api_version=__version__,
        model_version=None if model is None else model.version,
        model_loaded=model is not None,
        degraded=state.degraded,
        model_metadata=None if model is None else dict(model.classifier.metadata),
        store="off" if store is None else store.status,
    )
