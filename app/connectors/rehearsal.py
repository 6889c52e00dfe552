"""What would follow from a delivery that is at hand as a file: read and answered, but neither kept nor written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.connectors.receiving import checked
from app.connectors.sighting import Delivery
from app.connectors.steps import Answer, Classified, Rules
from app.store.prediction_records import Record

if TYPE_CHECKING:
    from app.connectors.connector import Connector
    from app.connectors.sighting import Sighting
    from app.models.classifier import TicketClassifier


def rehearse(connector: Connector, body: bytes, classifier: TicketClassifier) -> list[str]:
    """Return in words what would follow from a delivery with this body; raise ``UnreadableError``."""
    now_ms = time.time_ns() // 1_000_000
    delivery = Delivery(
        body=body, headers={}, method="POST", target=f"/hooks/{connector.name}", address="", received_ms=now_ms
    )
    sightings = checked(connector, connector.helpdesk.read(delivery))
    lines = [line for sighting in sightings.values() for line in _lines(connector, sighting, classifier)]
    return lines or ["it says nothing of a ticket"]


def _lines(connector: Connector, sighting: Sighting, classifier: TicketClassifier) -> list[str]:
    lines = [f"ticket {sighting.ref}: {'closed' if sighting.is_closed else 'open or not said'}"]
    lines += [f"  {head} is {value or 'empty'}" for head, value in sighting.values.items()]
    if not sighting.has_text:
        then = "it would be fetched" if connector.api_url else "without api_url nobody can fetch it: review"
        return [*lines, f"  no text: {then}"]

    def classify(said: Sighting) -> Classified:
        prediction = classifier.predict(said.title or "", said.description or "")
        lines.extend(
            f"  {head}: {answer.label} ({answer.confidence:.0%} sure), {answer.decision}"
            for head, answer in prediction.heads.items()
        )
        return Classified("rehearsal", prediction.heads, Record("rehearsal", None, "{}"))

    rules = Rules(
        connector=connector,
        classify=classify,
        labels={head: classifier.labels(head) for head in classifier.heads},
        reviewer_of=lambda _: "somebody",
        began_ms=0,
    )
    step = rules.step(sighting, None)
    if step is None or step.job is None:
        return [*lines, "  nothing would be written"]
    answer = Answer.from_json(step.job.content)
    lines += [f"  would set {head} to {connector.word_of(head, label)}" for head, label in answer.set.items()]
    lines += [f"  would suggest {said.label} for {head} in a note" for head, said in answer.suggest.items()]
    return lines
