"""Tickets that wait at the same moment are predicted in one batch: eight together take less than three one by one."""

from __future__ import annotations

import asyncio
from itertools import groupby
from operator import attrgetter
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.models.classifier import Prediction, TicketClassifier

# More at once do not get quicker, and the answers of the first would wait for the last.
MAX_TOGETHER: Final = 32


class _Waiting(NamedTuple):
    classifier: TicketClassifier
    title: str
    description: str
    prediction: asyncio.Future[Prediction]


class JointPrediction:
    """Predicts for one event loop; ``on_scored`` gets the seconds that a ticket took, and how many took as long.

    What is asked for in one turn of the loop is predicted in the next one. There is no timer: a ticket that is alone
    waits for nobody. How many may be asked for is bounded by ``Admission``.
    """

    def __init__(self, on_scored: Callable[[float, int], None]) -> None:
        self._on_scored = on_scored
        self._waiting: list[_Waiting] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def predict(self, classifier: TicketClassifier, title: str, description: str) -> Prediction:
        """Return what ``classifier.predict`` returns, or raise what it raises."""
        loop = self._loop
        if loop is None:
            # Asked for once, because asking costs a system call.
            loop = self._loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._predict_waiting)
        prediction: asyncio.Future[Prediction] = loop.create_future()
        self._waiting.append(_Waiting(classifier, title, description, prediction))
        return await prediction

    def _predict_waiting(self) -> None:
        together, self._waiting = self._waiting[:MAX_TOGETHER], self._waiting[MAX_TOGETHER:]
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self._predict_waiting)
        # A request keeps the model that it began with, also while another one takes its place.
        for classifier, same in groupby(together, key=attrgetter("classifier")):
            self._predict(classifier, list(same))

    def _predict(self, classifier: TicketClassifier, tickets: Sequence[_Waiting]) -> None:
        started = perf_counter()
        try:
            predictions = classifier.predict_batch(
                [ticket.title for ticket in tickets], [ticket.description for ticket in tickets]
            )
        except Exception as error:  # noqa: BLE001 - belongs to whoever asked
            if len(tickets) > 1:
                # One ticket must not fail the others.
                for ticket in tickets:
                    self._predict(classifier, [ticket])
            elif not tickets[0].prediction.done():
                tickets[0].prediction.set_exception(error)
            return
        self._on_scored((perf_counter() - started) / len(tickets), len(tickets))
        for ticket, prediction in zip(tickets, predictions, strict=True):
            if not ticket.prediction.done():
                ticket.prediction.set_result(prediction)
