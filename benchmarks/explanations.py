"""Explanations in process: what taking an answer apart costs beside giving it, and what looking for flips adds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

from app.models.classifier import TicketClassifier
from benchmarks.in_process import typical_tickets
from benchmarks.measuring import Figure, Subject, Ticket, ratios, seconds_of

_LONGEST = 20_000


def measure(subject: Subject) -> list[Figure]:
    classifier = TicketClassifier.load(subject.model_directory)
    typical = typical_tickets(subject.tickets)
    text = " ".join(ticket.description for ticket in subject.tickets)
    longest = [Ticket("", (text * (_LONGEST // len(text) + 1))[:_LONGEST])]

    def predict(ticket: Ticket) -> object:
        return classifier.predict(ticket.title, ticket.description)

    def explain(ticket: Ticket) -> object:
        return classifier.explain(ticket.title, ticket.description, with_flips=False)

    def explain_with_flips(ticket: Ticket) -> object:
        return classifier.explain(ticket.title, ticket.description)

    rounds: dict[str, list[float]] = {"predict": [], "explain": [], "flips": [], "longest": []}
    for _ in range(subject.rounds + 1):
        turns = _interleaved({"predict": predict, "explain": explain}, typical)
        # What takes much longer comes after them: it would leave a prediction nothing in the processor's caches.
        turns |= _interleaved({"flips": explain_with_flips}, typical)
        turns |= _interleaved({"longest": explain_with_flips}, longest)
        for name, of_turn in turns.items():
            rounds[name].append(of_turn)
    # The first round fills caches.
    seconds = {name: values[1:] for name, values in rounds.items()}
    mean = sum(ticket.n_characters for ticket in typical) / len(typical)
    return [
        Figure(f"an explanation of {mean:.0f} characters without would_flip, p50", "µs", _micro(seconds["explain"])),
        Figure("times as long as a prediction", "x", ratios(seconds["explain"], seconds["predict"]), at_most=5),
        Figure("the same explanation with would_flip, p50", "ms", _milli(seconds["flips"])),
        Figure(f"an explanation of {_LONGEST} characters with would_flip", "ms", _milli(seconds["longest"])),
    ]


def _interleaved(contestants: dict[str, Callable[[Ticket], object]], tickets: list[Ticket]) -> dict[str, float]:
    """Return the median time of each; a ticket is everybody's before the next one, so that a busy moment is shared."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for ticket in tickets:
        for name, work in contestants.items():
            seconds[name].append(seconds_of(partial(work, ticket)))
    return {name: median(values) for name, values in seconds.items()}


def _micro(seconds: list[float]) -> tuple[float, ...]:
    return tuple(value * 1e6 for value in seconds)


def _milli(seconds: list[float]) -> tuple[float, ...]:
    return tuple(value * 1e3 for value in seconds)
