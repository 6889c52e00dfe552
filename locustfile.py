"""Load on a running service as helpdesks make it: mostly single tickets, now and then a batch, and probes of health.

Run it as load_test.md says. Every answer is checked, so that a fast wrong answer counts as a failure.
"""

from __future__ import annotations

import csv
import functools
import os
import random
from pathlib import Path

from locust import FastHttpUser, between, constant_pacing, task

_TICKETS_FILE = Path(__file__).parent / "data" / "mock_eval.csv"
_SENT_FIELDS = ("title", "description", "customer_email")
_LARGEST_BATCH = 25
_OK = 200


@functools.cache
def _tickets() -> list[dict[str, str]]:
    with _TICKETS_FILE.open(encoding="utf-8", newline="") as file:
        return [{name: row[name] for name in _SENT_FIELDS if row[name]} for row in csv.DictReader(file)]


@functools.cache
def _headers() -> dict[str, str]:
    return {"X-API-Key": key} if (key := os.environ.get("API_KEY")) else {}


class _Client(FastHttpUser):
    abstract = True

    def ask(self, method: str, path: str, expected_field: str, document: object = None) -> None:
        with self.client.request(method, path, json=document, headers=_headers(), catch_response=True) as response:
            if response.status_code != _OK:
                response.failure(f"status {response.status_code}")
            elif expected_field not in response.json():
                response.failure(f"no {expected_field} in the answer")
            else:
                response.success()


class Helpdesk(_Client):
    """One connection of a helpdesk: a new ticket every fraction of a second."""

    weight = 20
    wait_time = between(0.05, 0.5)

    @task(20)
    def classify(self) -> None:
        self.ask("POST", "/classify", "predictions", random.choice(_tickets()))

    @task(1)
    def classify_batch(self) -> None:
        tickets = random.choices(_tickets(), k=random.randint(2, _LARGEST_BATCH))
        self.ask("POST", "/classify/batch", "results", {"tickets": tickets})


class Platform(_Client):
    """What keeps the service running: one probe a second, as Kubernetes sends them."""

    weight = 1
    wait_time = constant_pacing(1)

    @task
    def probe(self) -> None:
        self.ask("GET", random.choice(("/health/live", "/health/ready")), "status")
