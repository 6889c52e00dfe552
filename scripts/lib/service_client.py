"""Calls to a running service: bounded in number, patient with its limits, and with one line for what goes wrong."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
_TIMEOUT_SECONDS = 30.0
_MAX_OVERLOAD_RETRIES = 5
_SHORTEST_WAIT_SECONDS = 0.05
_WAIT_SECONDS_WHEN_NOT_SAID = 1.0


class UnreachableError(Exception):
    """Nothing answers at the base URL; the message is one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said: ``body`` is the JSON object, empty when there was none."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str]
    latency_ms: float

    @property
    def problem(self) -> str:
        """One line on what went wrong, empty when nothing did."""
        if self.status == HTTPStatus.OK and self.body:
            return ""
        slug, detail = self.body.get("error", ""), self.body.get("detail", "not a JSON object")
        return f"{self.status} {slug}: {detail}" if slug else f"{self.status}: {detail}"


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base-url", metavar="URL", type=_base_url, default=DEFAULT_BASE_URL, help="default: %(default)s"
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        type=_api_key,
        help="sent as X-API-Key; default: the environment's API_KEY, which other users of the machine cannot see",
    )


def api_key_headers(api_key: str | None) -> dict[str, str]:
    key = api_key or _api_key(os.environ.get("API_KEY", ""))
    return {"X-API-Key": key} if key else {}


def _base_url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise argparse.ArgumentTypeError(f'"{text}" is not a URL: {error}') from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise argparse.ArgumentTypeError(f'"{text}" is not a URL such as {DEFAULT_BASE_URL}')
    return text.rstrip("/")


def _api_key(text: str) -> str:
    # Quoting the key would put it into the logs of whoever runs this.
    if not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError("the API key has characters that a header cannot carry")
    return text


class ServiceClient:
    """Sends requests to one service; when it asks to wait (429, 503), waits and sends again.

    A request that met the rate limit waits ``max_wait_seconds`` in all; one that met an overloaded or unready service
    is sent ``_MAX_OVERLOAD_RETRIES`` times more. ``on_rate_limit`` is called once, with the policy that was stated.
    """

    def __init__(
        self, client: httpx.AsyncClient, *, max_wait_seconds: float, on_rate_limit: Callable[[str], None]
    ) -> None:
        self._client = client
        self._max_wait_seconds = max_wait_seconds
        self._on_rate_limit = on_rate_limit
        self._resume_at = 0.0
        self._has_met_limit = False

    async def send(
        self, method: str, path: str, document: object = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the last answer; raise ``UnreachableError`` when the service cannot be talked to."""
        gives_up_at = time.monotonic() + self._max_wait_seconds
        n_overloads = 0
        while True:
            await self._wait_for_turn()
            answer = await self._send_once(method, path, document, headers)
            now = time.monotonic()
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS and now < gives_up_at:
                if not self._has_met_limit:
                    self._has_met_limit = True
                    self._on_rate_limit(answer.headers.get("ratelimit-policy", ""))
            elif answer.status == HTTPStatus.SERVICE_UNAVAILABLE and n_overloads < _MAX_OVERLOAD_RETRIES:
                n_overloads += 1
            else:
                return answer
            # All requests wait: what is asked of one is asked of the client.
            self._resume_at = max(self._resume_at, now + min(_retry_after(answer.headers), gives_up_at - now))

    async def _wait_for_turn(self) -> None:
        # Another request may be told to wait longer while this one sleeps.
        while (delay := self._resume_at - time.monotonic()) > 0:  # noqa: ASYNC110 - there is a time, not an event
            await asyncio.sleep(delay)

    async def _send_once(self, method: str, path: str, document: object, headers: Mapping[str, str] | None) -> Answer:
        started_at = time.perf_counter()
        try:
            response = await self._client.request(method, path, json=document, headers=headers)
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"{display_url(self._client.base_url)} does not answer: {reason}") from error
        return to_answer(response, latency_ms=(time.perf_counter() - started_at) * 1000)


def open_client(base_url: str, api_key: str | None, *, n_connections: int) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url,
        headers=api_key_headers(api_key),
        timeout=_TIMEOUT_SECONDS,
        limits=httpx.Limits(max_connections=n_connections, max_keepalive_connections=n_connections),
    )


def to_answer(response: httpx.Response, *, latency_ms: float) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    return Answer(response.status_code, body if isinstance(body, dict) else {}, dict(response.headers), latency_ms)


def labels_of_heads(version: Answer) -> dict[str, tuple[str, ...]]:
    """Return the labels of each head as ``GET /version`` states them; nothing where it does not."""
    metadata = version.body.get("model_metadata")
    distributions = metadata.get("label_distributions") if isinstance(metadata, dict) else None
    if not isinstance(distributions, dict):
        return {}
    return {str(head): tuple(map(str, counts)) for head, counts in distributions.items()}


def display_url(url: httpx.URL) -> str:
    """Write a URL without the user name and password it may carry."""
    return str(url.copy_with(username=None, password=None)).rstrip("/")


def _retry_after(headers: Mapping[str, str]) -> float:
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            seconds = _WAIT_SECONDS_WHEN_NOT_SAID
    return max(seconds, _SHORTEST_WAIT_SECONDS)
