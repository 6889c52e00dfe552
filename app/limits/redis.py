"""Moving windows in Redis, shared by every worker and replica; while Redis fails, another limiter steps in.

The only file that imports redis, an optional package. The `limits` library would take two round trips a request, one to
count and one for what is left, and each replica's own clock; one script that takes all the requests that wait at the
moment needs one round trip for all of them, and goes by the clock of Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, ResponseError

from app.limits.local import Quota, RateLimiter

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "ticket-classifier:rate-limit:"
# What a request waits for Redis at most; with all that is around it, it stays below the 50 ms that are promised.
ANSWER_SECONDS: Final = 0.035
_SHORTEST_WAIT_SECONDS: Final = 0.005
# A single late reply is no failure of Redis: requests are counted locally until it is there, this long at most.
_PATIENCE_SECONDS: Final = 0.15
_MAX_LATE_REPLIES: Final = 3
# Nobody waits for a probe, and names, connections and TLS take their time; counting must be as quick as always.
_CONNECT_SECONDS: Final = 1.0
_PROBE_PAUSE_SECONDS: Final = 1.0
_MAX_BATCH: Final = 256

# KEYS: one list of request times a client, oldest first, in microseconds. ARGV: limit, window in seconds.
# Returns two numbers a key: what is left, or -1 for a refusal; and the milliseconds until more is.
# A list has at most `limit` entries, and is gone a window after its last one; the search keeps long lists quick.
MOVING_WINDOW_SCRIPT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit = tonumber(ARGV[1])
local window = ARGV[2] * 1000000
local answers = {}
for _, key in ipairs(KEYS) do
  local length = redis.call('LLEN', key)
  local oldest = length > 0 and tonumber(redis.call('LINDEX', key, 0)) or now
  if oldest <= now - window then
    local low, high = 1, length
    while low < high do
      local middle = math.floor((low + high) / 2)
      if tonumber(redis.call('LINDEX', key, middle)) <= now - window then low = middle + 1 else high = middle end
    end
    redis.call('LTRIM', key, low, -1)
    length = length - low
    oldest = length > 0 and tonumber(redis.call('LINDEX', key, 0)) or now
  end
  local left = -1
  if length < limit then
    redis.call('RPUSH', key, string.format('%.0f', now))
    redis.call('PEXPIRE', key, ARGV[2] * 1000)
    left = limit - length - 1
  end
  answers[#answers + 1] = left
  answers[#answers + 1] = math.ceil(math.min(oldest + window - now, window) / 1000)
end
return answers
"""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that asks since ``since`` (the loop's time); None in ``quota`` sends it to the local limiter."""

    client: str
    since: float
    quota: asyncio.Future[Quota | None]

    def answer(self, quota: Quota | None) -> None:
        if not self.quota.done():
            self.quota.set_result(quota)


class RedisRateLimiter:
    """A ``RateLimiter`` that counts in Redis, with ``local`` for the times when Redis does not answer in time.

    One task talks to Redis over one connection: it sends what waits as one script call, and what comes in meanwhile
    with the next. After a failure everybody is sent to ``local`` at once, and the task probes once a second until Redis
    counts again. ``local`` counts what Redis admits too, so that a failure gives nobody a fresh window.
    ``on_change`` is told True when Redis has failed, and False when it counts.
    """

    def __init__(
        self, url: str, *, limit: int, window_seconds: int, local: RateLimiter, on_change: Callable[[bool], None]
    ) -> None:
        parts = urlsplit(url)
        self._name = f"{parts.hostname}:{parts.port or 6379}/{parts.path.strip('/') or 0}"
        # An idle connection that the server has closed is replaced without counting as a failure.
        self._redis = Redis.from_url(
            url, protocol=2, max_connections=1, socket_timeout=None, retry=Retry(NoBackoff(), 1), socket_keepalive=True
        )
        self._limit = limit
        self._window_seconds = window_seconds
        self._local = local
        self._on_change = on_change
        self._script_sha = ""
        self._is_degraded: bool | None = None
        self._is_answering = False
        self._n_late_replies = 0
        self._waiting: deque[_Waiting] = deque()
        self._sent: list[_Waiting] = []
        self._has_waiting = asyncio.Event()
        self._is_decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find out whether Redis counts; takes about a second at most, whatever Redis does."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await self._is_decided.wait()

    async def close(self) -> None:
        """Leave Redis; requests that still come are counted by ``local``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._disconnect()

    async def hit(self, client: str) -> Quota:
        """Count one request of ``client``; see ``RateLimiter``."""
        if not self._is_answering:
            if self._task is None:
                # A server without a lifespan has called no start().
                self._task = asyncio.create_task(self._run())
            return await self._local.hit(client)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(client, loop.time(), loop.create_future())
        self._waiting.append(waiting)
        self._has_waiting.set()
        quota = await waiting.quota
        if quota is None:
            return await self._local.hit(client)
        if quota.allowed:
            await self._local.hit(client)
        return quota

    async def _run(self) -> None:
        try:
            while True:
                await self._count_until_failure()
                await asyncio.sleep(_PROBE_PAUSE_SECONDS * random.uniform(0.75, 1.25))  # noqa: S311  # nosec B311 - spreads workers
        finally:
            self._step_aside()

    async def _count_until_failure(self) -> None:
        try:
            await self._probe()
            self._changed(degraded=False)
            self._is_answering, self._n_late_replies = True, 0
            while True:
                await self._has_waiting.wait()
                await self._count_batch()
        except Exception as error:  # noqa: BLE001 - whatever the client library raises, requests must be answered
            self._changed(degraded=True, reason=_reason(error))
        self._step_aside()
        await self._disconnect()

    async def _probe(self) -> None:
        async with asyncio.timeout(_CONNECT_SECONDS):
            self._script_sha = await self._redis.script_load(MOVING_WINDOW_SCRIPT)
        # It must write, since a full or read-only Redis still reads; and twice, since the first call is the slower one.
        for _ in range(2):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._evaluate([f"{KEY_PREFIX}probe"], limit=1_000_000, window_seconds=1)

    async def _count_batch(self) -> None:
        self._sent = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH))]
        if not self._waiting:
            self._has_waiting.clear()
        keys = [KEY_PREFIX + waiting.client for waiting in self._sent]
        loop = asyncio.get_running_loop()
        until = max(self._sent[0].since + ANSWER_SECONDS, loop.time() + _SHORTEST_WAIT_SECONDS)
        patience = loop.call_at(until, self._step_aside)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answers = await self._count_keys(keys)
        finally:
            patience.cancel()
        for waiting, left, reset_ms in zip(self._sent, answers[::2], answers[1::2], strict=True):
            reset_seconds = max(1, math.ceil(reset_ms / 1000))
            waiting.answer(Quota(left >= 0, remaining=max(0, left), reset_seconds=reset_seconds))
        self._count_late_replies()

    async def _count_keys(self, keys: Sequence[str]) -> list[int]:
        try:
            return await self._evaluate(keys, limit=self._limit, window_seconds=self._window_seconds)
        except NoScriptError:
            # Somebody flushed the scripts of Redis.
            await self._redis.script_load(MOVING_WINDOW_SCRIPT)
            return await self._evaluate(keys, limit=self._limit, window_seconds=self._window_seconds)

    def _count_late_replies(self) -> None:
        self._n_late_replies = 0 if self._is_answering else self._n_late_replies + 1
        if self._n_late_replies == _MAX_LATE_REPLIES:
            raise TimeoutError
        self._is_answering = True

    async def _evaluate(self, keys: Sequence[str], *, limit: int, window_seconds: int) -> list[int]:
        reply = self._redis.evalsha(self._script_sha, len(keys), *keys, str(limit), str(window_seconds))
        return await cast("Awaitable[list[int]]", reply)

    def _step_aside(self) -> None:
        self._is_answering = False
        for waiting in (*self._sent, *self._waiting):
            waiting.answer(None)
        self._waiting.clear()
        self._has_waiting.clear()

    def _changed(self, *, degraded: bool, reason: str = "") -> None:
        if degraded is not self._is_degraded:
            self._is_degraded = degraded
            self._on_change(degraded)
            if degraded:
                logger.warning(
                    "rate limits are counted by each process alone: Redis at %s fails (%s)", self._name, reason
                )
            else:
                logger.info("rate limits are counted in Redis at %s", self._name)
        self._is_decided.set()

    async def _disconnect(self) -> None:
        # A connection whose reply was not awaited must not serve another call.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._redis.connection_pool.disconnect()


def _reason(error: Exception) -> str:
    """Return what kind of failure it is; whole messages may quote an address, a user name or a key."""
    code = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
    return f"{type(error).__name__} {code}" if code.isupper() and code.isalpha() else type(error).__name__
