"""The keeper of promises: looks at the store every two seconds, and withdraws what is broken from what is answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from app.feedback.promised import promises_of
from app.feedback.standing import Served, Standings, look, n_auto_of, reset
from app.store.database import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.feedback.standing import Standing
    from app.feedback.withdrawn import Withdrawn, WithdrawnLabels
    from app.models.classifier import TicketClassifier
    from app.store.promise import HeadLabel
    from app.store.store import Store

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Report:
    """The promises of the version that serves, and how often each was ``auto``."""

    version: str
    standings: tuple[Standing, ...]
    n_auto: Mapping[HeadLabel, int]


class PromiseKeeper:
    """Keeps the promises of what ``serving`` returns; belongs to the event loop that starts it.

    Unless it ``acts``, states are shown and recorded, and nothing is withdrawn. While the store is away, what is
    withdrawn stays so.
    """

    def __init__(
        self,
        store: Store,
        withdrawn: WithdrawnLabels,
        *,
        serving: Callable[[], TicketClassifier | None],
        alpha: float,
        acts: bool,
    ) -> None:
        self._store = store
        self._withdrawn = withdrawn
        self._serving = serving
        self._alpha = alpha
        self._acts = acts
        self._last: Standings | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look once, so that nothing is answered that was withdrawn before, and then again every two seconds."""
        with contextlib.suppress(StoreUnavailableError):
            await self.look()
        self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def acts(self) -> bool:
        """Whether answers of a broken promise are withdrawn, rather than only shown to be."""
        return self._acts

    @property
    def withdrawn(self) -> Mapping[str, Withdrawn]:
        """What is withdrawn, by the digest of the model; changes while it is held."""
        return self._withdrawn.by_digest

    def standings(self) -> tuple[Standing, ...]:
        """Return how the promises of the version that serves stood when the store was last heard."""
        classifier, last = self._serving(), self._last
        if classifier is None or last is None or last.digest != classifier.digest:
            return ()
        return last.standings

    async def look(self) -> None:
        """Hear the store now; raise ``StoreUnavailableError``."""
        classifier = self._serving()
        if classifier is None:
            return
        standings = await self._store.run(partial(look, served=self._served(classifier), before=self._last))
        if standings is not self._last:
            self._last = standings
            self._withdrawn.put(standings.digest, _withdrawn(standings, classifier) if self._acts else frozenset())

    async def report(self) -> Report:
        """Return how the promises stand now; raise ``StoreUnavailableError``."""
        await self.look()
        classifier = self._serving()
        if classifier is None:
            return Report("", (), {})
        n_auto = await self._store.run(partial(n_auto_of, served=self._served(classifier)))
        return Report(classifier.version, self.standings(), n_auto)

    async def reset(self, *, head: str | None = None, label: str | None = None) -> None:
        """Let promises begin anew: all, those of a head, or that of a label; raise ``StoreUnavailableError``.

        Raise ``LookupError`` when the version promises nothing of the kind.
        """
        classifier = self._serving()
        if classifier is None:
            return
        served = self._served(classifier)
        chosen = [
            promise.of
            for promise in served.promises
            if head in {None, promise.of.head} and label in {None, promise.of.label}
        ]
        if head is not None and not chosen:
            raise LookupError
        await self._store.run(partial(reset, served=served, chosen=chosen))
        await self.look()

    def _served(self, classifier: TicketClassifier) -> Served:
        return Served(classifier.version, classifier.digest, promises_of(classifier), self._alpha)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except StoreUnavailableError:
                logger.debug("promises are not looked at while the store is away")
            except Exception:
                # Whatever it is, the next look may do without it.
                logger.exception("promises could not be looked at")


def _withdrawn(standings: Standings, classifier: TicketClassifier) -> Withdrawn:
    """Return the pairs of head and label that are broken, or of a head that is broken as a whole."""
    broken = [standing.promise.of for standing in standings.standings if standing.state == "broken"]
    return frozenset(
        (of.head, label) for of in broken for label in ((of.label,) if of.label else classifier.labels(of.head))
    )
