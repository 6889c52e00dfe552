"""The shared limit against a real redis-server, which is frozen, filled and killed, and with real services."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse

import httpx
import pytest
from pydantic import ValidationError

from app.config import Settings
from app.limits.local import LocalRateLimiter, Quota
from app.limits.redis import ANSWER_SECONDS, KEY_PREFIX, RedisRateLimiter
from tests.conftest import StartProcess
from tests.in_process import TICKET
from tests.limits.redis_server import RedisServer, needs_redis_server
from tests.processes import ROOT, ServiceProcess, clean_environment, free_port

pytestmark = needs_redis_server

MAX_ADDED_SECONDS = 0.05
BACK_SECONDS = 5
GAUGE = re.compile(r"^rate_limit_storage_degraded(?:\{.*\})? (\S+)$", re.MULTILINE)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@contextlib.asynccontextmanager
async def limiter_of(
    url: str, *, limit: int = 10, window_seconds: int = 60, changes: list[bool] | None = None
) -> AsyncIterator[RedisRateLimiter]:
    local = LocalRateLimiter(limit=limit, window_seconds=window_seconds)
    on_change = ([] if changes is None else changes).append
    limiter = RedisRateLimiter(url, limit=limit, window_seconds=window_seconds, local=local, on_change=on_change)
    await limiter.start()
    try:
        yield limiter
    finally:
        await limiter.close()


@dataclass
class Stalls:
    """The longest time that this process had no processor, which is nobody's fault here."""

    longest_seconds: float = 0.0

    async def watch(self) -> None:
        while True:
            started = time.monotonic()
            await asyncio.sleep(0.001)
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - started - 0.001)


async def until(condition: Callable[[], bool], *, seconds: float = BACK_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so within {seconds} s"
        await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


def test_replicas_admit_together_what_one_may_and_count_down(redis_server: RedisServer) -> None:
    async def test() -> None:
        async with (
            limiter_of(redis_server.url, limit=100) as first,
            limiter_of(redis_server.url, limit=100) as second,
        ):
            quotas = await asyncio.gather(*((first, second)[n % 2].hit("client") for n in range(300)))
            other = await second.hit("another client")

        admitted = [quota for quota in quotas if quota.allowed]
        assert sorted(quota.remaining for quota in admitted) == list(range(100))
        assert {quota.remaining for quota in quotas if not quota.allowed} == {0}
        assert {quota.reset_seconds for quota in quotas} <= {59, 60}
        assert other == Quota(allowed=True, remaining=99, reset_seconds=60)

    run(test)


def test_no_window_admits_more_than_its_limit(redis_server: RedisServer) -> None:
    admitted: list[tuple[float, float]] = []

    async def test() -> None:
        async with limiter_of(redis_server.url, limit=5, window_seconds=1) as limiter:
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                sent = time.monotonic()
                if (await limiter.hit("client")).allowed:
                    admitted.append((sent, time.monotonic()))
                await asyncio.sleep(0.01)

    run(test)

    assert len(admitted) >= 10
    for (sent, _), (_, answered) in zip(admitted, admitted[5:], strict=False):
        assert answered - sent >= 1


def test_a_client_is_admitted_again_after_the_time_it_was_told(redis_server: RedisServer) -> None:
    async def test() -> None:
        async with limiter_of(redis_server.url, limit=1, window_seconds=2) as limiter:
            assert (await limiter.hit("client")).allowed
            refused = await limiter.hit("client")
            assert not refused.allowed
            await asyncio.sleep(refused.reset_seconds)
            assert (await limiter.hit("client")).allowed

    run(test)


def test_redis_keeps_one_window_of_each_client_and_nothing_of_silent_ones(redis_server: RedisServer) -> None:
    async def test() -> None:
        async with limiter_of(redis_server.url, limit=1_000, window_seconds=3) as limiter:
            with redis_server.client() as redis:
                await asyncio.gather(*(limiter.hit("client") for _ in range(300)))
                assert redis.llen(f"{KEY_PREFIX}client") == 300
                assert 0 < redis.pttl(f"{KEY_PREFIX}client") <= 3_000
                await asyncio.sleep(1.6)
                await limiter.hit("client")
                await asyncio.sleep(1.6)
                assert (await limiter.hit("client")).remaining == 998
                assert redis.llen(f"{KEY_PREFIX}client") == 2
                await until(lambda: redis.dbsize() == 0)

    run(test)


def make_read_only(server: RedisServer) -> None:
    with server.client() as redis:
        redis.replicaof("127.0.0.1", free_port())


def make_writable(server: RedisServer) -> None:
    with server.client() as redis:
        redis.replicaof("NO", "ONE")


FAILURES: dict[str, tuple[Callable[[RedisServer], None], Callable[[RedisServer], None], str]] = {
    "killed": (RedisServer.kill, RedisServer.start, "ConnectionError"),
    "frozen": (RedisServer.freeze, RedisServer.thaw, "TimeoutError"),
    "slow": (lambda server: pause(server, milliseconds=1_500), lambda _: None, "TimeoutError"),
    "full": (
        lambda server: server.configure("maxmemory", "1"),
        lambda server: server.configure("maxmemory", "0"),
        "OutOfMemoryError",
    ),
    "read-only": (make_read_only, make_writable, "ReadOnlyError"),
    "another password": (
        lambda server: server.change_password("changed"),
        lambda server: server.change_password("hunter2"),
        "AuthenticationError",
    ),
}


@pytest.mark.alone
@pytest.mark.parametrize("failure", FAILURES)
def test_a_local_limiter_steps_in_while_redis_is(failure: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fail, heal, reason = FAILURES[failure]
    changes: list[bool] = []
    seconds: list[float] = []

    async def timed_hit(limiter: RedisRateLimiter, client: str) -> Quota:
        started = time.monotonic()
        quota = await limiter.hit(client)
        seconds.append(time.monotonic() - started)
        return quota

    async def test(server: RedisServer, url: str) -> None:
        stalls = Stalls()
        async with limiter_of(url, changes=changes) as limiter, asyncio.TaskGroup() as group:
            watch = group.create_task(stalls.watch())
            assert [(await limiter.hit("early")).remaining for _ in range(4)] == [9, 8, 7, 6]
            fail(server)

            waiting = await asyncio.gather(*(timed_hit(limiter, "crowd") for _ in range(50)))
            one_by_one = [await timed_hit(limiter, "client") for _ in range(50)]
            early = [await timed_hit(limiter, "early") for _ in range(10)]
            assert [sum(quota.allowed for quota in quotas) for quotas in (waiting, one_by_one, early)] == [10, 10, 6]
            assert max(seconds) < MAX_ADDED_SECONDS + stalls.longest_seconds
            # Only those who were there when it failed have waited for it.
            a_wait = ANSWER_SECONDS / 2 + stalls.longest_seconds
            assert sum(second > a_wait for second in seconds[50:]) <= 3
            watch.cancel()
            await until(lambda: changes == [False, True])

            heal(server)
            await until(lambda: changes == [False, True, False])
            assert [(await limiter.hit("late")).remaining for _ in range(2)] == [9, 8]

    with RedisServer(password="hunter2") as server:
        run(lambda: test(server, server.url.replace("//", "//:hunter2@")))

    lines = [record.getMessage() for record in caplog.records if record.name == "app.limits.redis"]
    name = f"127.0.0.1:{server.port}/0"
    counted = f"rate limits are counted in Redis at {name}"
    assert lines == [
        counted,
        f"rate limits are counted by each process alone: Redis at {name} fails ({reason})",
        counted,
    ]
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("start", "reason"), [(False, "ConnectionError"), (True, "AuthenticationError")], ids=["refused", "wrong password"]
)
def test_redis_may_be_unusable_at_the_start(reason: str, caplog: pytest.LogCaptureFixture, *, start: bool) -> None:
    changes: list[bool] = []
    server = RedisServer(password="hunter2")

    async def test() -> None:
        started = time.monotonic()
        async with limiter_of(server.url.replace("//", "//:wrong-password@"), changes=changes) as limiter:
            # Long before a network gives up by itself.
            assert time.monotonic() - started < 10
            assert [(await limiter.hit("client")).allowed for _ in range(12)] == [True] * 10 + [False] * 2
            await asyncio.sleep(1.5)
        assert changes == [True]

    with contextlib.ExitStack() as stack:
        if start:
            stack.enter_context(server)
        run(test)

    assert [record.getMessage().split()[-1] for record in caplog.records] == [f"({reason})"]
    assert "password" not in caplog.text


def test_a_limiter_that_nobody_started_finds_redis_by_itself(redis_server: RedisServer) -> None:
    changes: list[bool] = []

    async def test() -> None:
        local = LocalRateLimiter(limit=10, window_seconds=60)
        limiter = RedisRateLimiter(redis_server.url, limit=10, window_seconds=60, local=local, on_change=changes.append)
        assert (await limiter.hit("client")).allowed
        await until(lambda: changes == [False])
        assert (await limiter.hit("client")).allowed
        await limiter.close()
        assert (await limiter.hit("client")).allowed

    run(test)

    with redis_server.client() as redis:
        assert redis.llen(f"{KEY_PREFIX}client") == 1


def flush_scripts(server: RedisServer) -> None:
    with server.client() as redis:
        redis.script_flush()


def close_idle_connections(server: RedisServer) -> None:
    with server.client() as redis:
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.mark.parametrize("disturb", [flush_scripts, close_idle_connections])
def test_what_an_operator_may_do_at_any_time_is_no_failure(
    redis_server: RedisServer, disturb: Callable[[RedisServer], None]
) -> None:
    changes: list[bool] = []

    async def test() -> None:
        async with limiter_of(redis_server.url, changes=changes) as limiter:
            await limiter.hit("client")
            disturb(redis_server)
            assert (await limiter.hit("client")).remaining == 8
        assert changes == [False]

    run(test)


def pause(server: RedisServer, *, milliseconds: int) -> None:
    with server.client() as redis:
        redis.execute_command("CLIENT", "PAUSE", str(milliseconds))


@pytest.mark.alone
def test_one_late_reply_delays_nobody_and_is_no_failure(redis_server: RedisServer) -> None:
    changes: list[bool] = []

    async def test() -> None:
        async with limiter_of(redis_server.url, changes=changes) as limiter:
            pause(redis_server, milliseconds=90)
            n_waited = 0
            quotas = []
            for _ in range(20):
                started = time.monotonic()
                quotas.append(await limiter.hit("client"))
                n_waited += time.monotonic() - started > ANSWER_SECONDS / 2
            assert n_waited < 5
            assert sum(quota.allowed for quota in quotas) == 10
            await asyncio.sleep(0.2)
            # Redis knows of the first request only.
            assert (await limiter.hit("client")).remaining == 8
        assert changes == [False]

    run(test)


@pytest.mark.alone
def test_late_replies_again_and_again_are_a_failure(redis_server: RedisServer) -> None:
    changes: list[bool] = []

    async def test() -> None:
        async with limiter_of(redis_server.url, changes=changes) as limiter:
            for _ in range(3):
                pause(redis_server, milliseconds=90)
                await limiter.hit("client")
                await asyncio.sleep(0.25)
            assert changes == [False, True]
            await until(lambda: changes == [False, True, False])

    run(test)


def test_a_request_that_is_given_up_harms_no_other(redis_server: RedisServer) -> None:
    changes: list[bool] = []

    async def test() -> None:
        async with limiter_of(redis_server.url, changes=changes) as limiter:
            given_up = [asyncio.ensure_future(limiter.hit("client")) for _ in range(3)]
            others = [asyncio.ensure_future(limiter.hit("another")) for _ in range(3)]
            await asyncio.sleep(0)
            for task in given_up:
                task.cancel()
            assert [(await task).remaining for task in others] == [9, 8, 7]
            assert (await limiter.hit("another")).remaining == 6
        assert changes == [False]

    run(test)


def classify(service: ServiceProcess) -> HTTPResponse:
    # A connection of its own each, so that the workers share them.
    connection = HTTPConnection(service.base_url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/classify", json.dumps(dict(TICKET)), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def statuses(services: list[ServiceProcess], *, n_requests: int) -> Counter[int]:
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(lambda n: classify(services[n % len(services)]).status, range(n_requests)))


def is_degraded(service: ServiceProcess) -> bool:
    found = GAUGE.search(httpx.get(f"{service.base_url}/metrics", timeout=5).text)
    assert found is not None
    return float(found[1]) > 0


def state_changes(service: ServiceProcess) -> list[str]:
    return [record["level"] for record in service.log_records() if record["logger"] == "app.limits.redis"]


@pytest.mark.slow
def test_three_hundred_requests_to_workers_and_replicas_admit_a_hundred_at_a_limit_of_a_hundred(
    redis_server: RedisServer, start_process: StartProcess
) -> None:
    variables = {"RATE_LIMIT_STORAGE": redis_server.url, "RATE_LIMIT_REQUESTS": "100", "RATE_LIMIT_WINDOW_SEC": "600"}
    services = [start_process("--workers", n_workers, DRAIN_SECONDS="0", **variables) for n_workers in ("2", "1")]
    services[0].wait_for(lambda: len(state_changes(services[0])) == 2)

    admitted = statuses(services, n_requests=300)

    assert set(admitted) == {200, 429}
    assert abs(admitted[200] - 100) <= 1
    assert [state_changes(service) for service in services] == [["INFO", "INFO"], ["INFO"]]


@pytest.mark.slow
@pytest.mark.parametrize("command", [("-m", "app"), ("-m", "uvicorn", "app.main:app")], ids=["app", "uvicorn"])
def test_a_service_outlives_its_redis(
    redis_server: RedisServer, start_process: StartProcess, command: tuple[str, ...]
) -> None:
    redis_server.kill()
    url = redis_server.url.replace("//", "//:secret-password@")
    service = start_process(command=command, RATE_LIMIT_STORAGE=url, RATE_LIMIT_REQUESTS="1000", DRAIN_SECONDS="0")
    assert is_degraded(service)
    assert classify(service).status == 200

    redis_server.start()
    redis_server.change_password("secret-password")
    service.wait_for(lambda: not is_degraded(service), seconds=BACK_SECONDS)
    assert str(classify(service).headers["ratelimit"]).startswith('"default";r=999;')

    redis_server.freeze()
    assert set(statuses([service], n_requests=100)) == {200}
    service.wait_for(lambda: is_degraded(service), seconds=BACK_SECONDS)
    redis_server.thaw()
    service.wait_for(lambda: not is_degraded(service), seconds=BACK_SECONDS)

    service.stop()
    assert state_changes(service) == ["WARNING", "INFO", "WARNING", "INFO"]
    assert "secret-password" not in service.log()


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("app", []), ("app", ["--workers", "2"]), ("uvicorn", ["app.main:app"])],
    ids=["app", "two workers", "uvicorn"],
)
def test_without_the_package_the_start_says_what_to_install(module: str, arguments: list[str]) -> None:
    program = f"import runpy, sys; sys.modules['redis'] = None; runpy.run_module({module!r}, run_name='__main__')"

    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--port", str(free_port())],
        cwd=ROOT,
        env=clean_environment(RATE_LIMIT_STORAGE="redis://:hunter2@127.0.0.1:1/0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr == "RATE_LIMIT_STORAGE needs the package redis: pip install -r requirements-redis.txt\n"


@pytest.mark.parametrize(
    "url", ["redis://h", "redis://h:6380/15", "redis://user:p%40ss@h/0", "rediss://h/1?ssl_ca_certs=/ca.pem"]
)
def test_addresses_of_redis_are_accepted(url: str) -> None:
    assert Settings(_env_file=None, rate_limit_storage=url).rate_limit_storage == url


@pytest.mark.parametrize(
    "rest", ["", "h/x", "h:0", "h:99999", "h/0?socket_timeout=9", "h/0?canary", "h/0#canary", "h#canary@h"]
)
def test_other_addresses_are_refused_without_being_quoted(rest: str) -> None:
    with pytest.raises(ValidationError, match="neither memory:// nor redis://host:port/db") as refused:
        Settings(_env_file=None, rate_limit_storage=f"redis://:canary@{rest}")

    assert "canary" not in str(refused.value)


def test_nothing_of_redis_is_imported_for_limits_in_memory() -> None:
    program = "import json, sys, app.__main__, app.main; print(json.dumps(sorted(sys.modules)))"

    output = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=clean_environment(), capture_output=True, check=True
    ).stdout

    assert not {"redis", "app.limits.redis"} & set(json.loads(output))
