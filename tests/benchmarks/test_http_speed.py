"""A guard on the speed of requests that holds on any machine: a ratio of interleaved timings in one process."""

import asyncio
from pathlib import Path

import pytest

from app.config import Settings
from app.main import create_app
from benchmarks.echo_servers import fastapi_echo
from benchmarks.http_parts import seconds_of_requests

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]


def test_classifying_takes_no_longer_than_the_bare_framework_takes_to_echo() -> None:
    service = create_app(Settings(models_base_dir=str(ROOT / "models"), rate_limit_requests=1_000_000))

    async def measure() -> tuple[float, float]:
        ours = echo = float("inf")
        async with service.router.lifespan_context(service) as state:
            for _ in range(60):
                ours = min(ours, await seconds_of_requests(service, state))
                echo = min(echo, await seconds_of_requests(fastapi_echo, {}))
        return ours, echo

    ours, echo = asyncio.run(measure())

    # Measured: 0.75 to 0.92, by the processor.
    assert ours < echo, f"{ours * 1e3:.2f} ms for 16 requests, the echo takes {echo * 1e3:.2f} ms"
