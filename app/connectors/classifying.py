"""Tickets of helpdesks as the model is asked about them, and what deciding steps needs of the service."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from app.connectors.pacing import OVERLAP_MS
from app.connectors.steps import Classified, Rules
from app.errors import MODEL_NOT_LOADED, ServiceError
from app.feedback.judging import judging_by
from app.store.connector_states import began_ms
from app.store.helpdesk_tickets import Decide, Steps
from app.store.shared_secrets import shared_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.connectors.connector import Connector
    from app.connectors.sighting import Sighting
    from app.feedback.recorder import Recorder
    from app.serving.answering import Answering
    from app.serving.registry import LoadedModel
    from app.store.database import Database

_SECRET_NAME: Final = "helpdesk_people"  # noqa: S105 - a name
_NAME_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class _Ticket:
    title: str
    description: str
    ticket_id: str
    # Nothing is asked of whom it is, so that is not kept either.
    customer_email: None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says of a connector once and for all."""

    secret: bytes
    began_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDesk:
    """Classifies tickets, and makes the steps that follow; may be used from any thread.

    Of longer texts the first ``max_title`` and ``max_description`` characters are looked at.
    """

    serving: Callable[[], LoadedModel | None]
    answering: Answering
    recorder: Recorder
    keeps_text: bool
    max_title: int
    max_description: int
    # What the store says of a connector once and for all, by its name.
    _known: dict[str, Known] = field(default_factory=dict, init=False)

    def steps(
        self, database: Database, connector: Connector, sightings: Mapping[str, Sighting], *, now_ms: int
    ) -> Steps:
        """Return the steps that follow from ``sightings``, by ticket; raise ``ServiceError`` (503) without a model."""
        rules = self._rules(database, connector, now_ms)

        def decide(sighting: Sighting) -> Decide:
            said = replace(
                sighting,
                title=_clean(sighting.title, self.max_title),
                description=_clean(sighting.description, self.max_description),
            )
            return lambda before: rules.step(said, before)

        return self.steps_by(connector, {ref: decide(sighting) for ref, sighting in sightings.items()}, now_ms=now_ms)

    def steps_by(self, connector: Connector, decide: Mapping[str, Decide], *, now_ms: int) -> Steps:
        """Return steps that ``decide`` decides."""
        return Steps(
            connector=connector.name,
            decide=decide,
            judge=judging_by(self._model().classifier),
            keeps_text=self.keeps_text,
            now_ms=now_ms,
        )

    def learn(self, database: Database, connector: Connector, *, now_ms: int) -> Known:
        """Ask the store once for what does not change, so that no delivery has to wait for it."""
        secret = shared_secret(database, _SECRET_NAME)
        known = self._known[connector.name] = Known(secret, began_ms(database, connector.name, now_ms=now_ms))
        return known

    def _rules(self, database: Database, connector: Connector, now_ms: int) -> Rules:
        model = self._model()
        known = self._known.get(connector.name) or self.learn(database, connector, now_ms=now_ms)

        def reviewer_of(actor: str) -> str:
            # Of people's numbers a plain hash would tell who it was.
            digest = hmac.digest(known.secret, f"{connector.name}:{actor}".encode(errors="replace"), "sha256")
            return f"helpdesk-{digest.hex()[:_NAME_DIGITS]}"

        return Rules(
            connector=connector,
            classify=lambda sighting: self._classify(connector, sighting, model),
            labels={head: model.classifier.labels(head) for head in model.classifier.heads},
            reviewer_of=reviewer_of,
            # Clocks differ, and what came in the last minutes is better asked about than missed.
            began_ms=known.began_ms - OVERLAP_MS,
        )

    def _classify(self, connector: Connector, sighting: Sighting, model: LoadedModel) -> Classified:
        ticket = _Ticket(sighting.title or "", sighting.description or "", connector.ticket_id(sighting.ref))
        prediction = model.classifier.predict(ticket.title, ticket.description)
        answer = self.answering.counted(ticket, prediction, model)
        record = self.answering.record_of(self.recorder, answer, model)
        return Classified(answer.prediction_id, answer.prediction.heads, record)

    def _model(self) -> LoadedModel:
        model = self.serving()
        if model is None:
            raise ServiceError(MODEL_NOT_LOADED)
        return model


def _clean(text: str | None, max_characters: int) -> str | None:
    """Return ``text`` without what no database takes, and not too long."""
    if text is None:
        return None
    return text[:max_characters].replace("\0", "").encode("utf-8", "ignore").decode()
