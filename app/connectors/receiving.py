"""Deliveries: let in by their signature, done once each, and answered before anybody is called."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from app.connectors.sighting import UnreadableError
from app.connectors.signatures import is_from
from app.errors import INVALID_SIGNATURE, STORE_UNAVAILABLE, UNKNOWN_CONNECTOR, ServiceError
from app.store.helpdesk_tickets import Delivery as Received
from app.store.helpdesk_tickets import Taken, receive

if TYPE_CHECKING:
    from app.connectors.classifying import TicketDesk
    from app.connectors.connector import Connector
    from app.connectors.sighting import Delivery, Sighting
    from app.metrics.service_metrics import Metrics
    from app.store.database import Database
    from app.store.store import Store

logger = logging.getLogger(__name__)

# Helpdesks count an answer that takes longer as none, some after a second.
ANSWER_SECONDS: Final = 0.8
_MAX_REF_CHARACTERS: Final = 128
_MAX_SIGHTINGS: Final = 200
_TELLING: Final = ("review", "classified", "queued", "recorded")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery, and the predictions that it led to by ``ticket_id``."""

    outcome: str
    predictions: Mapping[str, str]


class Receiver:
    """Takes deliveries for ``connectors``; belongs to the event loop. Something to be done sets ``on_work``."""

    def __init__(
        self,
        connectors: Sequence[Connector],
        *,
        store: Store,
        desk: TicketDesk,
        metrics: Metrics,
        on_work: asyncio.Event,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._connectors = {connector.name: connector for connector in connectors}
        self._store = store
        self._desk = desk
        self._metrics = metrics
        self._on_work = on_work
        self.answer_seconds = answer_seconds

    def connector(self, name: str) -> Connector:
        """Return the connector of that name; raise ``ServiceError`` (404) if there is none."""
        connector = self._connectors.get(name)
        if connector is None:
            raise ServiceError(UNKNOWN_CONNECTOR)
        return connector

    async def receive(self, connector: Connector, delivery: Delivery) -> Receipt:
        """Do what follows from ``delivery``, durably; raise ``ServiceError``.

        401 for what nobody signed who may, 503 when it could not be kept.
        """
        if not _is_admitted(connector, delivery):
            self._metrics.connector_event(connector.name, "delivery", "refused")
            raise ServiceError(INVALID_SIGNATURE)
        received, sightings = await asyncio.to_thread(_read, connector, delivery)
        receipt = await self._kept(connector, received, sightings)
        self._metrics.connector_event(connector.name, "delivery", receipt.outcome)
        return receipt

    async def _kept(self, connector: Connector, received: Received, sightings: Mapping[str, Sighting]) -> Receipt:
        def work(database: Database) -> Taken | None:
            steps = self._desk.steps(database, connector, sightings, now_ms=received.received_ms)
            return receive(database, received, steps, outcome_of=partial(_outcome, received))

        keeping = asyncio.ensure_future(self._store.run(work))
        done, _ = await asyncio.wait({keeping}, timeout=self.answer_seconds)
        if not done:
            # It may be kept all the same; then the helpdesk's next attempt is a duplicate.
            keeping.add_done_callback(_forget)
            raise ServiceError(STORE_UNAVAILABLE)
        taken = keeping.result()
        if taken is None:
            return Receipt("duplicate", {})
        if any(step.job is not None for step in taken.steps.values()):
            self._on_work.set()
        classified = {ref: step for ref, step in taken.steps.items() if step.record is not None}
        return Receipt(
            _outcome(received, taken),
            {connector.ticket_id(ref): step.ticket.prediction_id or "" for ref, step in classified.items()},
        )


def _is_admitted(connector: Connector, delivery: Delivery) -> bool:
    # The signature is looked at in any case, so that the time does not tell which of the two it was.
    is_authentic = connector.helpdesk.is_authentic(delivery, connector.secrets)
    is_allowed = not connector.allow_from or is_from(delivery.address, connector.allow_from)
    if is_authentic and not is_allowed:
        logger.warning(
            'a delivery with the right secret is refused, because allow_from does not have its address "%s"; '
            "of a proxy's clients TRUSTED_PROXIES tells the address",
            delivery.address,
            extra={"connector": connector.name},
        )
    return is_authentic and is_allowed


def _read(connector: Connector, delivery: Delivery) -> tuple[Received, dict[str, Sighting]]:
    helpdesk = connector.helpdesk
    delivery_id = helpdesk.delivery_id(delivery)
    received = Received(
        content_key=hashlib.sha256(helpdesk.signed_content(delivery)).hexdigest(),
        delivery_key=None if delivery_id is None else hashlib.sha256(delivery_id.encode(errors="replace")).hexdigest(),
        received_ms=delivery.received_ms,
    )
    try:
        sightings = checked(connector, helpdesk.read(delivery))
    except UnreadableError as error:
        logger.warning("a delivery cannot be read: %s", error, extra={"connector": connector.name})
        return replace(received, outcome="review", problem=str(error)), {}
    if len(sightings) == 1:
        received = replace(received, ticket_ref=next(iter(sightings)))
    return received, sightings


def checked(connector: Connector, sightings: Sequence[Sighting]) -> dict[str, Sighting]:
    """Return ``sightings`` by ticket; raise ``UnreadableError`` for ids that no ticket can have."""
    if len(sightings) > _MAX_SIGHTINGS:
        raise UnreadableError(f"it says something of {len(sightings)} tickets, and at most {_MAX_SIGHTINGS} are taken")
    for sighting in sightings:
        if not is_ref(connector, sighting.ref):
            raise UnreadableError("the id of a ticket is empty, too long, or has characters that are not printable")
    return {sighting.ref: sighting for sighting in sightings}


def is_ref(connector: Connector, ref: str) -> bool:
    """Return whether ``ref`` can be the id of a ticket, and a part of addresses."""
    fits = len(ref) > 0 and len(connector.ticket_id(ref)) <= _MAX_REF_CHARACTERS
    return fits and ref.isprintable() and ref.strip(". ") != ""


def _outcome(received: Received, taken: Taken) -> str:
    """Return what became of a delivery; of several tickets, what tells most."""
    outcomes = {step.outcome for step in taken.steps.values()}
    usual = received.outcome if received.ticket_ref is None else "known"
    return next((outcome for outcome in _TELLING if outcome in outcomes), usual)


def _forget(keeping: asyncio.Future[Taken | None]) -> None:
    if not keeping.cancelled() and keeping.exception() is not None:
        logger.warning("a delivery that was not answered in time was not kept: %s", type(keeping.exception()).__name__)
