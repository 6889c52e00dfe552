"""Everything under ``/model``: its status, its drift, and for admins the change to another version."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request

from app.errors import (
    ACTIVE_NOT_WRITABLE,
    ADMIN_DISABLED,
    ADMIN_KEY_REQUIRED,
    INVALID_API_KEY,
    MODEL_PINNED,
    MODEL_REFUSED,
)
from app.insights.drift_report import ACT_INDEX, MIN_TICKETS, WATCH_INDEX
from app.insights.label_mix import label_mixes
from app.models.schemas import Activation, DriftThresholds, FeatureDriftBody, LabelMixBody, ModelDrift, ModelStatus
from app.models.versions import VersionName
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import COMMON_ERRORS, LIMITED_ERRORS, error_responses
from app.web.api.json_body import JSON_BODY_ERRORS, read_json_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from app.serving.registry import ModelRegistry

ACTIVATE_PATH: Final = "/model/activate"
RELOAD_PATH: Final = "/model/reload"

_ADMIN_ERRORS: Final = (*LIMITED_ERRORS, INVALID_API_KEY, ADMIN_KEY_REQUIRED, ADMIN_DISABLED, MODEL_REFUSED)
_ACTIVATE_ERRORS: Final = (*_ADMIN_ERRORS, MODEL_PINNED, ACTIVE_NOT_WRITABLE, *JSON_BODY_ERRORS)

_DRIFT_DIGITS: Final = 4


async def _activate(scope: Scope, receive: Receive, send: Send) -> None:
    activation = await read_json_body(scope, receive, Activation)
    state = scope["state"]
    await state["model_updates"].activate(VersionName.parse(activation.version))
    answer = await asyncio.to_thread(_status, state["registry"])
    await send_json(send, answer.model_dump_json().encode())


router = APIRouter(
    prefix="/model",
    tags=["model"],
    responses=error_responses(COMMON_ERRORS),
    routes=[
        DirectRoute(
            ACTIVATE_PATH,
            _activate,
            name="activate",
            summary="Activate a version, for all workers and replicas",
            request_model=Activation,
            response_model=ModelStatus,
            errors=_ACTIVATE_ERRORS,
        )
    ],
)


@router.get("/status", responses=error_responses(LIMITED_ERRORS))
def status(request: Request) -> ModelStatus:
    """Say which model is loaded since when, and which versions are on disk."""
    return _status(request.state.registry)


@router.post("/reload", responses=error_responses(_ADMIN_ERRORS))
async def reload(request: Request) -> ModelStatus:
    """Load again from disk what should serve: a new highest version, or the same one with other files."""
    await request.state.model_updates.reload()
    return await asyncio.to_thread(_status, request.state.registry)


def _status(registry: ModelRegistry) -> ModelStatus:
    state = registry.state
    model = state.model
    return ModelStatus(
        is_trained=model is not None,
        models_loaded=model is not None,
        model_version=None if model is None else model.version,
        available_versions=registry.available_versions(),
        loaded_at=None if model is None else model.loaded_at,
        degraded=state.degraded,
    )


@router.get("/drift")
def drift(request: Request) -> ModelDrift:
    """Compare the tickets and answers of late, of all workers, with those at training."""
    model = request.state.registry.current
    report = request.state.drift.report()
    features = [
        FeatureDriftBody(
            head=feature.head or None,
            feature=feature.feature,
            stability_index=round(feature.index, _DRIFT_DIGITS),
            chance_index=round(feature.chance, _DRIFT_DIGITS),
            level=feature.level,
            expected=_rounded(feature.expected),
            observed=_rounded(feature.observed),
        )
        for feature in report.features
    ]
    return ModelDrift(
        status=report.level or ("collecting" if report.is_available else "unavailable"),
        model_version=None if model is None else model.version,
        n_tickets=report.n_tickets,
        min_tickets=MIN_TICKETS,
        thresholds=DriftThresholds(watch=WATCH_INDEX, act=ACT_INDEX),
        features=features,
        label_mix={
            head: LabelMixBody(training=_rounded(mix.training), now=_rounded(mix.now))
            for head, mix in label_mixes(report, None if model is None else model.classifier.reference).items()
        },
    )


def _rounded(shares: Mapping[str, float]) -> dict[str, float]:
    return {name: round(share, _DRIFT_DIGITS) for name, share in shares.items()}
