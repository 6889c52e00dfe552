"""The whole loop on real processes: answers go wrong, audits show it, the promise is withdrawn, and judgements mend it.

In the field, what had always been about billing is about something that the model has never heard of, and that is
handled by sales: every answer "Billing" is wrong, and all others are right.
"""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import pytest

from app.keys import hash_key
from tests.processes import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ADMIN_KEY: Final = "the-admin's-key"
REVIEWER_KEY: Final = "mia's-key"
ADMIN: Final = {"X-API-Key": ADMIN_KEY}
_N_TICKETS: Final = 2_000
_BATCH: Final = 100
_SECONDS: Final = 60
_WORDS: Final = {
    "Billing": ("invoice", "refund", "charge", "payment", "receipt", "bill"),
    "Sales": ("quote", "pricing", "demo", "seats", "trial", "discount"),
    "Tech Support": ("login", "crash", "error", "timeout", "server", "outage"),
}
# A service that is new, and not in any ticket of before.
_NEW_WORDS: Final = ("subscription", "renewal", "contract")
_HASTE: Final = {"High": ("urgent", "immediately", "emergency"), "Low": ("sometime", "whenever", "eventually")}
_OTHER_WORDS: Final = tuple(a + b for a in ("bo", "la", "mi", "nu", "so") for b in ("dar", "fen", "gol"))


@dataclass(frozen=True)
class Labelled:
    """A ticket, what is true of it, and what a model that has seen nothing new says of its department."""

    title: str
    description: str
    priority: str
    department: str
    looks_like: str

    @classmethod
    def draw(cls, rng: random.Random, *, is_new: bool) -> Self:
        looks_like, priority = rng.choice(tuple(_WORDS)), rng.choice(tuple(_HASTE))
        is_renewal = is_new and looks_like == "Billing"
        words = [*rng.sample(_WORDS[looks_like], 3), *rng.sample(_HASTE[priority], 2), *rng.choices(_OTHER_WORDS, k=6)]
        if is_renewal:
            words += rng.sample(_NEW_WORDS, 2)
        rng.shuffle(words)
        department = "Sales" if is_renewal else looks_like
        return cls(" ".join(words[:3]), " ".join(words[3:]), priority, department, looks_like)

    @property
    def text(self) -> dict[str, str]:
        return {"title": self.title, "description": self.description}

    @property
    def labels(self) -> dict[str, str]:
        return {"priority": self.priority, "department": self.department}


def tickets(n: int, *, seed: int, is_new: bool) -> list[Labelled]:
    rng = random.Random(seed)
    return [Labelled.draw(rng, is_new=is_new) for _ in range(n)]


def train(directory: Path, version: str, *options: str) -> None:
    data = directory / "tickets.csv"
    if not data.exists():
        with data.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["title", "description", "priority", "department"])
            writer.writerows(
                [t.title, t.description, t.priority, t.department] for t in tickets(900, seed=1, is_new=False)
            )
    arguments = ["--data", str(data), "--models-dir", str(directory / "models"), "--version", version, *options]
    done = subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT,
        env=clean_environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Desk:
    """Whoever sends tickets to a service, judges audits and changes its model; each request on a new connection."""

    def __init__(self, service: ServiceProcess) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        headers = {"X-API-Key": REVIEWER_KEY}
        self._client = httpx.Client(base_url=service.base_url, headers=headers, timeout=30, limits=limits)

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        response = self._client.request(method, path, **options)
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def departments(self, asked: Sequence[Labelled]) -> list[dict[str, Any]]:
        """Return what is said of the department of each ticket."""
        answers = []
        for start in range(0, len(asked), _BATCH):
            batch = [ticket.text for ticket in asked[start : start + _BATCH]]
            results = self.ask("POST", "/classify/batch", json={"tickets": batch})["results"]
            answers += [result["predictions"]["department"] for result in results]
        return answers

    def judge(self, truth: dict[tuple[str, str], dict[str, str]]) -> int:
        """Claim what waits, and say what is true of it; return how many there were."""
        items = self.ask("POST", "/review/claim", json={"count": 50})["items"]
        assert all((item["predictions"] is None) == item["is_audit"] for item in items)
        said = [
            {
                "prediction_id": item["prediction_id"],
                "labels": truth[item["title"], item["description"]],
                "source": "review",
            }
            for item in items
        ]
        if said:
            results = self.ask("POST", "/feedback/batch", json={"feedback": said})["results"]
            assert all("feedback_id" in result for result in results), results
        return len(items)

    def states(self) -> dict[tuple[str, str | None], str]:
        found = self.ask("GET", "/model/promises")["promises"]
        return {(promise["head"], promise["label"]): promise["state"] for promise in found}


def all_until(desk: Desk, asked: Sequence[Labelled], expected: tuple[str, str]) -> None:
    """Ask until every answer, whichever worker gives it, has the label and the decision that are expected.

    A few tickets are always unlike those of training; they are never acted on, whatever is promised.
    """
    deadline = time.monotonic() + _SECONDS
    while True:
        # One ticket a request, so that both workers are asked.
        answers = [desk.departments([ticket])[0] for ticket in asked]
        like = [answer for answer in answers if "unlike_training" not in answer["reasons"]]
        found = {(answer["label"], answer["decision"]) for answer in like}
        if found == {expected} and len(like) > len(asked) / 2:
            return
        assert time.monotonic() < deadline, found


def of_label(label: str, asked: Iterable[Labelled]) -> list[Labelled]:
    return [ticket for ticket in asked if ticket.looks_like == label]


def test_a_promise_that_breaks_in_the_field_is_withdrawn_and_mended_by_what_people_say(
    tmp_path: Path, start_process: StartProcess, store_url: str
) -> None:
    train(tmp_path, "1.0.0")
    models = str(tmp_path / "models")
    service = start_process(
        "--workers",
        "2",
        MODELS_BASE_DIR=models,
        STORE_URL=store_url,
        AUDIT_SHARE="0.25",
        REVIEWER_API_KEYS=f"mia:{hash_key(REVIEWER_KEY)}",
        ADMIN_API_KEYS=hash_key(ADMIN_KEY),
    )
    desk = Desk(service)
    fresh = tickets(120, seed=3, is_new=True)

    # Nothing is known yet, so wrong answers are acted on.
    field = tickets(_N_TICKETS, seed=2, is_new=True)
    answers = desk.departments(field)
    wrong = [
        (answer["label"], answer["decision"])
        for ticket, answer in zip(field, answers, strict=True)
        if answer["label"] != ticket.department
    ]
    assert len(wrong) > _N_TICKETS / 4
    assert {label for label, _ in wrong} == {"Billing"}
    assert ("Billing", "auto") in wrong

    # People judge what waits, without having seen the answers.
    truth = {(ticket.title, ticket.description): ticket.labels for ticket in field}
    n_judged, deadline = 0, time.monotonic() + _SECONDS
    while (n := desk.judge(truth)) or n_judged < _N_TICKETS / 5:
        n_judged += n
        assert time.monotonic() < deadline, n_judged
    states = desk.states()
    assert {of for of, state in states.items() if state == "broken"} == {("department", "Billing")}
    all_until(desk, of_label("Billing", fresh), ("Billing", "suggest"))
    all_until(desk, of_label("Sales", fresh), ("Sales", "auto"))
    all_until(desk, of_label("Tech Support", fresh), ("Tech Support", "auto"))

    # What they said makes a version that is right.
    train(tmp_path, "1.1.0", "--feedback", store_url)
    desk.ask("POST", "/model/activate", json={"version": "1.1.0"}, headers=ADMIN)
    all_until(desk, of_label("Billing", fresh), ("Sales", "auto"))
    all_until(desk, of_label("Tech Support", fresh), ("Tech Support", "auto"))
    assert set(desk.states().values()) == {"unproven"}
