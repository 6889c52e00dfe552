"""What every answer goes through, whoever asked: withdrawal, counting, its id, its form in JSON, and its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from app.models.withdrawal import withdraw
from app.serving.classification_json import TicketContent, prediction_members, text_members
from app.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.feedback.recorder import Recorder
    from app.insights.drift import DriftMonitor
    from app.metrics.service_metrics import Metrics
    from app.models.classifier import Prediction
    from app.serving.registry import LoadedModel
    from app.store.prediction_records import Record


class Answer(NamedTuple):
    """What is answered: a tuple, because each request makes one. The members are those of a ``Classification``."""

    prediction: Prediction
    prediction_id: str
    text_members: str
    prediction_members: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """May be used from any thread; ``recorder`` is None where nothing is kept.

    ``withdrawn`` has, by the digest of a model, the heads and labels that are not acted on any more.
    """

    withdrawn: Mapping[str, Collection[tuple[str, str]]]
    metrics: Metrics
    drift: DriftMonitor
    recorder: Recorder | None

    def answer(self, ticket: TicketContent, prediction: Prediction, model: LoadedModel) -> str:
        """Count and record what is answered, and return it in JSON."""
        answer = self.counted(ticket, prediction, model)
        if self.recorder is not None:
            self.recorder.add(self.record_of(self.recorder, answer, model))
        return f"{{{answer.text_members},{answer.prediction_members}}}"

    def counted(self, ticket: TicketContent, prediction: Prediction, model: LoadedModel) -> Answer:
        """Count what is answered, and leave its record to whoever asked; see ``record_of``."""
        if withdrawn := self.withdrawn.get(model.model_digest):
            prediction = withdraw(prediction, withdrawn)
        self.metrics.predicted(prediction)
        self.drift.observe(prediction, n_characters=len(ticket.title) + len(ticket.description))
        prediction_id = new_id()
        members = prediction_members(
            prediction, prediction_id=prediction_id, ticket_id=ticket.ticket_id, version=model.version
        )
        return Answer(prediction, prediction_id, text_members(ticket), members)

    @staticmethod
    def record_of(recorder: Recorder, answer: Answer, model: LoadedModel) -> Record:
        """Return what is to be kept of an answer."""
        return recorder.record_of(
            answer.prediction,
            prediction_id=answer.prediction_id,
            model_digest=model.model_digest,
            model_metadata=model.classifier.metadata,
            text_members=answer.text_members,
            prediction_members=answer.prediction_members,
        )
