"""``GET /metrics`` for Prometheus."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from starlette.responses import Response

from app.metrics.service_metrics import METRICS_CONTENT_TYPE
from app.web.api.documentation import COMMON_ERRORS, error_responses

METRICS_PATH: Final = "/metrics"

router = APIRouter(tags=["health"], responses=error_responses(COMMON_ERRORS))


@router.get(METRICS_PATH, response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return all metrics in the Prometheus text format."""
    return Response(request.state.metrics.exposition(), media_type=METRICS_CONTENT_TYPE)
