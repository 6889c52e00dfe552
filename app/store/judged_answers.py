"""What people judged of the answers of one model, and how many answers there were of each kind, for its thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, literal_column, select

from app.models.decisions import AMBIGUOUS, MOSTLY_UNKNOWN_WORDS, NO_KNOWN_WORDS, UNLIKE_TRAINING
from app.store.tables import answers, feedback, judgements, predictions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Select

    from app.store.database import Database

# With one of these an answer is never acted on, whatever the threshold.
_NEVER_AUTO: Final = (AMBIGUOUS, MOSTLY_UNKNOWN_WORDS, NO_KNOWN_WORDS, UNLIKE_TRAINING)
# What a helpdesk reports are corrections: its people saw the answer, and say nothing of those that are right.
_ASKED_SOURCES: Final = ("review", "api")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer, or a number of them: its head, label, decision and confidence.

    ``is_certain`` says whether a person is asked about every answer like it, rather than with a chance.
    """

    head: str
    label: str
    decision: str
    is_certain: bool
    confidence: float


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """An answer that a person was asked about, with the chance of being asked, and whether it was right."""

    answered: Answered
    asked_chance: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """How many answers there are, judged or not, with a confidence that is rounded to thousandths."""

    answered: Answered
    n_answers: int


def read_judged_answers(database: Database, model_digest: str) -> list[JudgedAnswer]:
    """Return the answers of a model that may be acted on and that people were asked about, by the latest judgement."""
    latest: dict[tuple[str, str], JudgedAnswer] = {}
    with database.reading() as connection:
        for row in connection.execute(_judgements(model_digest)):
            key = row.prediction_id, row.head
            # Who corrects later, a helpdesk too, is heard about what was asked.
            if row.source in _ASKED_SOURCES or key in latest:
                answered = Answered(row.head, row.predicted, row.decision, row.asked_chance >= 1, row.confidence)
                latest[key] = JudgedAnswer(answered, row.asked_chance, row.given == row.predicted)
    return list(latest.values())


def count_answers(database: Database, model_digest: str) -> Iterator[AnswerCount]:
    """Yield how many answers of a model may be acted on, by all that tells them apart."""
    confidence = func.round(answers.c.confidence * literal_column("1000"))
    # Literally, because Postgres does not see that two parameters of one value are the same.
    is_certain = predictions.c.asked_chance >= literal_column("1")
    kinds = (answers.c.head, answers.c.label, answers.c.decision, is_certain, confidence)
    query = (
        select(*kinds, func.count())
        .join(predictions, predictions.c.prediction_id == answers.c.prediction_id)
        .where(predictions.c.model_digest == model_digest, *_may_be_acted_on())
        .group_by(*kinds)
    )
    with database.reading() as connection:
        for head, label, decision, certain, thousandths, n_answers in connection.execute(query):
            yield AnswerCount(Answered(head, label, decision, bool(certain), float(thousandths) / 1000), n_answers)


def _judgements(model_digest: str) -> Select[Any]:
    return (
        select(
            feedback.c.prediction_id,
            feedback.c.source,
            judgements.c.head,
            judgements.c.label.label("given"),
            answers.c.label.label("predicted"),
            answers.c.decision,
            answers.c.confidence,
            predictions.c.asked_chance,
        )
        .join(judgements, judgements.c.feedback_id == feedback.c.feedback_id)
        .join(predictions, predictions.c.prediction_id == feedback.c.prediction_id)
        .join(answers, and_(answers.c.prediction_id == feedback.c.prediction_id, answers.c.head == judgements.c.head))
        .where(
            predictions.c.model_digest == model_digest,
            feedback.c.taken_back_ms.is_(None),
            # Nobody read them.
            ~feedback.c.accepted_together,
            # Those that nobody was asked about are judged for a reason.
            judgements.c.asked_chance.is_not(None),
            predictions.c.asked_chance > 0,
            *_may_be_acted_on(),
        )
        .order_by(feedback.c.feedback_id)
    )


def _may_be_acted_on() -> list[ColumnElement[bool]]:
    return [answers.c.reasons.not_like(f'%"{reason}"%') for reason in _NEVER_AUTO]
