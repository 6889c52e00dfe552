"""A service whose console is opened, and what people do there in every test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from app.keys import hash_key

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.processes import ServiceProcess

REVIEWER_KEY = "key-of-mia"
SECOND_REVIEWER_KEY = "key-of-tom"
ADMIN_KEY = "key-of-an-admin"
# The settings of a service with two reviewers and an admin.
KEYS = {
    "REVIEWER_API_KEYS": f"mia:{hash_key(REVIEWER_KEY)},tom:{hash_key(SECOND_REVIEWER_KEY)}",
    "ADMIN_API_KEYS": hash_key(ADMIN_KEY),
}


@dataclass(frozen=True)
class Console:
    """A service with its models and its store."""

    process: ServiceProcess
    models_dir: Path
    store_url: str

    @property
    def origin(self) -> str:
        return self.process.base_url

    def classify(self, *tickets: dict[str, str]) -> list[str]:
        """Classify ``tickets`` and return the ids of their answers, which the store has a moment later."""
        with httpx.Client(base_url=self.origin, timeout=30) as client:
            answers = [client.post("/classify", json=ticket) for ticket in tickets]
        return [str(answer.raise_for_status().json()["prediction_id"]) for answer in answers]


def sign_in(page: Page, key: str, *, to: str = "review") -> None:
    """Sign in by the form, as people do who asked for the page ``to``, and wait for that."""
    page.goto(f"/console/sign-in?next={to}")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/console/{to}")
