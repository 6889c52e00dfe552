"""Threads that classify tickets and judge them, over and over, and remember which judgements were acknowledged."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

TICKET = {"title": "Server is down", "description": "Main server offline, all users impacted"}
_LABELS = {"priority": "High"}
_ANSWER_SECONDS = 30
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Mapping[str, Any]
    retry_after: str | None
    asked_at: float
    seconds: float


class Client:
    """One connection, opened anew after a failure."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Return the answer; ``OSError`` or ``HTTPException`` when there is none."""
        asked_at = time.monotonic()
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        seconds = time.monotonic() - asked_at
        return Answer(answer.status, content, answer.headers["Retry-After"], asked_at, seconds)

    def judge(self) -> Answer:
        """Post a judgement that brings its ticket along."""
        return self.post("/feedback", {"ticket": TICKET, "labels": _LABELS, "source": "api"})

    def close(self) -> None:
        self._connection.close()


@dataclass
class FeedbackLoad:
    """What is answered to ``n_threads`` clients that come again whatever happens; ``port`` may change meanwhile."""

    port: int
    n_threads: int = 4
    acknowledged: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._repeat, args=(number,)) for number in range(self.n_threads)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, n: int, *, seconds: float) -> None:
        """Wait until ``n`` more judgements are acknowledged; ``TimeoutError`` when they are not within ``seconds``."""
        wanted, deadline = len(self.acknowledged) + n, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {n} judgements were acknowledged within {seconds:g} s: {self.statuses}")
            time.sleep(_PAUSE_SECONDS)

    def _repeat(self, number: int) -> None:
        port, client = self.port, Client(self.port)
        while not self._is_over.is_set():
            if port != self.port:
                client.close()
                port, client = self.port, Client(self.port)
            try:
                # Half of them judge what was answered, the others what was never asked.
                answer = client.judge() if number % 2 else self._classify_and_judge(client)
            except (OSError, http.client.HTTPException):
                self.statuses["no answer"] += 1
                time.sleep(_PAUSE_SECONDS)
                continue
            if answer is not None:
                self.statuses[f"/feedback {answer.status}"] += 1
                if answer.status == http.client.CREATED:
                    self.acknowledged.append(answer.body["feedback_id"])
        client.close()

    def _classify_and_judge(self, client: Client) -> Answer | None:
        answer = client.post("/classify", TICKET)
        self.statuses[f"/classify {answer.status}"] += 1
        if answer.status != http.client.OK:
            return None
        judged = {"prediction_id": answer.body["prediction_id"], "labels": _LABELS, "source": "api"}
        return client.post("/feedback", judged)
