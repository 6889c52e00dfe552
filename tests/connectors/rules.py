"""Rules for one connector whose model answers the same of every ticket, for tests of what follows from sightings."""

from __future__ import annotations

from collections.abc import Mapping

from app.connectors.connector import Connector
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.generic import GenericHelpdesk
from app.connectors.sighting import Sighting
from app.connectors.steps import Classified, Rules
from app.models.classifier import HeadPrediction
from app.store.helpdesk_tickets import HelpdeskTicket, Step
from app.store.prediction_records import Record

LABELS = {"priority": ("High", "Low", "Medium"), "department": ("Billing", "Sales")}
AUTO, SUGGEST, REVIEW = "auto", "suggest", "review"
PREDICTION_ID = "01980c2e-7a4b-7c11-8f3e-5b1f0c9a2d47"
BEGAN_MS = 1_000


def connector(**changes: object) -> Connector:
    """Return a connector that writes both heads, puts suggestions into notes, and takes ``bot`` for no person."""
    values: dict[str, object] = {
        "name": "desk",
        "type": "generic",
        "helpdesk": GenericHelpdesk(Options(fields={"priority": "priority", "department": "department"})),
        "secret_names": ("DESK_SECRET",),
        "secrets": (b"a secret",),
        "api_url": "https://desk.example.com",
        "api_token_name": "DESK_TOKEN",
        "api_token": "a token",
        "write": ("priority", "department"),
        "on_suggest": "note",
        "words": {},
        "unset": {},
        "allow_from": (),
        "not_people": frozenset({"bot"}),
        "calls_per_minute": 60,
        "look_seconds": 0,
        "dry_run": False,
    }
    return Connector(**values | changes)  # type: ignore[arg-type]


def rules(
    of: Connector | None = None,
    *,
    answers: Mapping[str, tuple[str, str]] = {"priority": ("High", AUTO), "department": ("Billing", SUGGEST)},
) -> Rules:
    """Return rules by which every ticket is answered with ``answers``: label and decision of each head."""

    def classify(_: Sighting) -> Classified:
        heads = {head: HeadPrediction(label, 0.9, decision, (), ()) for head, (label, decision) in answers.items()}  # type: ignore[arg-type]
        return Classified(PREDICTION_ID, heads, Record(PREDICTION_ID, None, "{}"))

    return Rules(
        connector=of or connector(),
        classify=classify,
        labels=LABELS,
        reviewer_of=lambda actor: f"hash of {actor}",
        began_ms=BEGAN_MS,
    )


def sighting(ref: str = "7", *, has_text: bool = True, created_ms: int | None = None, **said: object) -> Sighting:
    """Return a sighting with a text, or without one."""
    text = {"title": "a title", "description": "a description"} if has_text else {}
    return Sighting(ref=ref, created_ms=created_ms, **text, **said)  # type: ignore[arg-type]


class Known:
    """What is known of one ticket, and what was judged, as sightings come in."""

    def __init__(self, by: Rules) -> None:
        self.rules = by
        self.ticket: HelpdeskTicket | None = None
        self.steps: list[Step] = []

    def hear(self, of: Sighting) -> Step | None:
        step = self.rules.step(of, self.ticket)
        if step is not None:
            self.steps.append(step)
            self.ticket = step.ticket
        return step

    def judged(self) -> list[dict[str, str]]:
        return [dict(step.remark.labels) for step in self.steps if step.remark is not None]
