"""Changes of the model while the service runs: on request, on SIGHUP, and when the models directory says so.

Everything is done in one thread, one change after the other, while the event loop answers requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from app.errors import ServiceError

if TYPE_CHECKING:
    from app.models.versions import VersionName
    from app.serving.registry import ModelRegistry, ModelState

logger = logging.getLogger(__name__)

# A change in the directory must be followed within two seconds, loading included.
_POLL_SECONDS: Final = 0.5

# Loading takes half of the interpreter's time from requests. After a change the next one waits for this many times as
# long as the first took, so that many in a row leave five sixths of the time to requests.
_REST_RATIO: Final = 2.0
_MAX_REST_SECONDS: Final = 1.0

Result = TypeVar("Result")


class ModelUpdates:
    """Runs the registry's changes; belongs to the event loop that starts it."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        # Always the same thread, so that the memory of each model is that of the one before the last.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-updates")
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_hangup_pending = False
        self._rest_until = 0.0
        self._hangup_before = signal.getsignal(signal.SIGHUP)

    async def start(self) -> None:
        """Begin to follow the models directory, and SIGHUP where the loop can take signals."""
        self._keep(asyncio.get_running_loop().create_task(self._poll()))
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._on_hangup)

    async def close(self) -> None:
        """Stop; a change that has begun ends in its thread."""
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, self._hangup_before)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def activate(self, version: VersionName) -> ModelState:
        """Do ``ModelRegistry.activate`` when it is its turn."""
        return await self._run(lambda: self._registry.activate(version))

    async def reload(self) -> ModelState:
        """Do ``ModelRegistry.reload_everywhere`` when it is its turn."""
        return await self._run(self._registry.reload_everywhere)

    async def follow(self) -> None:
        """Do ``ModelRegistry.follow`` now, without waiting for the next look at the directory."""
        await self._run(self._registry.follow)

    async def _run(self, change: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._in_turn, change)

    def _in_turn(self, change: Callable[[], Result]) -> Result:
        time.sleep(max(0.0, self._rest_until - time.monotonic()))
        started = time.monotonic()
        try:
            return change()
        finally:
            now = time.monotonic()
            self._rest_until = now + min(_MAX_REST_SECONDS, _REST_RATIO * (now - started))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self._run(self._registry.follow)
            except Exception:
                # A failure here must not end the following; what serves goes on serving.
                logger.exception("the models directory could not be followed")

    def _on_hangup(self) -> None:
        # A signal to a group of processes reaches a worker twice; once is enough.
        if not self._is_hangup_pending:
            self._is_hangup_pending = True
            self._keep(asyncio.get_running_loop().create_task(self._reload_on_hangup()))

    async def _reload_on_hangup(self) -> None:
        logger.info("reload asked for by SIGHUP")
        try:
            await self._run(self._registry.reload)
        except ServiceError as error:
            logger.warning("the reload was refused: %s", error.detail)
        except Exception:
            logger.exception("the reload failed")
        finally:
            self._is_hangup_pending = False

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
