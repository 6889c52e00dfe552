"""Puts predictions and judgements into a store as the service would, without the service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import insert

from app.store.database import Database
from app.store.ids import milliseconds_of, new_id
from app.store.migration import upgrade
from app.store.tables import answers, feedback, judgements, predictions

DIGEST = "0123456789ab"


@dataclass(frozen=True)
class Said:
    """What a head answered."""

    label: str
    confidence: float = 0.9
    decision: str = "auto"


@dataclass
class JudgedStore:
    """A store to be filled; the tables are made at once."""

    url: str
    digest: str = DIGEST
    _database: Database = field(init=False)

    def __post_init__(self) -> None:
        self._database = Database(self.url)
        upgrade(self._database)

    def predict(
        self,
        said: Mapping[str, Said],
        *,
        title: str | None = None,
        description: str | None = "",
        ticket_id: str | None = None,
        is_audit: bool = False,
        asked_chance: float = 1.0,
    ) -> str:
        """Record an answer, and return its id."""
        prediction_id = new_id()
        row = {
            "prediction_id": prediction_id, "ticket_id": ticket_id, "received_ms": milliseconds_of(prediction_id),
            "model_version": "1.0.0", "model_digest": self.digest, "is_audit": is_audit, "asked_chance": asked_chance,
            "title": title, "description": None if title is None else description,
        }  # fmt: skip
        with self._database.writing() as connection:
            connection.execute(insert(predictions), [row])
            connection.execute(
                insert(answers),
                [
                    {
                        "prediction_id": prediction_id, "head": head, "label": one.label, "confidence": one.confidence,
                        "decision": one.decision, "reasons": "[]", "alternatives": "[]",
                    }
                    for head, one in said.items()
                ],
            )  # fmt: skip
        return prediction_id

    def judge(
        self,
        labels: Mapping[str, str],
        *,
        prediction_id: str | None = None,
        said: Mapping[str, Said] | None = None,
        title: str | None = None,
        description: str | None = "",
        ticket_id: str | None = None,
        source: str = "review",
        reviewer: str | None = None,
        taken_back: bool = False,
        accepted_together: bool = False,
        is_audit: bool = False,
        asked_chance: float | None = None,
    ) -> str:
        """Record a judgement, and return its id."""
        feedback_id = new_id()
        row = {
            "feedback_id": feedback_id, "prediction_id": prediction_id, "ticket_id": ticket_id,
            "received_ms": milliseconds_of(feedback_id), "source": source, "reviewer": reviewer,
            "taken_back_ms": 1 if taken_back else None, "title": title,
            "description": None if title is None else description, "accepted_together": accepted_together,
        }  # fmt: skip
        of_heads = said or {}
        with self._database.writing() as connection:
            connection.execute(insert(feedback), [row])
            connection.execute(
                insert(judgements),
                [
                    {
                        "feedback_id": feedback_id, "head": head, "label": label,
                        "predicted_label": of_heads[head].label if head in of_heads else None,
                        "predicted_decision": of_heads[head].decision if head in of_heads else None,
                        "model_version": "1.0.0" if head in of_heads else None,
                        "model_digest": self.digest if head in of_heads else None,
                        "is_audit": is_audit, "asked_chance": asked_chance,
                    }
                    for head, label in labels.items()
                ],
            )  # fmt: skip
        return feedback_id

    def close(self) -> None:
        self._database.close()
