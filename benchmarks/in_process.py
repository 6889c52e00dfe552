"""One ticket, a batch, long texts and large vocabularies, in process: the classifier against scikit-learn's parts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from statistics import median

from app.models.classifier import TicketClassifier
from app.models.features import join_fields
from benchmarks.measuring import Figure, Subject, Ticket, ratios, seconds_of, take_turns
from benchmarks.scikit_learn_parts import Parts, plain_parts, stored_parts
from benchmarks.synthetic_model import synthetic_classifier

_TYPICAL_CHARACTERS = 280
_TOLERANCE = 30
_N_TYPICAL = 100
_BATCH = 1000
_LONGEST = 20_000
_CALLS_A_TURN = 7
_FEATURE_COUNTS = (10_000, 500_000)


def measure(subject: Subject) -> list[Figure]:
    classifier = TicketClassifier.load(subject.model_directory)
    stored, plain = stored_parts(subject.model_directory), plain_parts(subject.model_directory)
    return [
        *_one_ticket(classifier, stored, plain, subject),
        *_batch(classifier, stored, plain, subject),
        *_growth_with_text(classifier, subject),
        *_growth_with_features(subject),
    ]


def _one_ticket(classifier: TicketClassifier, stored: Parts, plain: Parts, subject: Subject) -> list[Figure]:
    """Compare medians over typical tickets, one call each."""
    typical = typical_tickets(subject.tickets)

    def ours(ticket: Ticket) -> object:
        return classifier.predict(ticket.title, ticket.description)

    def theirs(parts: Parts) -> Callable[[Ticket], object]:
        return lambda ticket: parts.predict_proba([join_fields(ticket.title, ticket.description)])

    p50: dict[str, list[float]] = {"ours": [], "stored": [], "plain": []}
    for _ in range(subject.rounds + 1):
        for name, call in {"ours": ours, "stored": theirs(stored), "plain": theirs(plain)}.items():
            p50[name].append(median(_call_seconds(call, typical)))
    ours_s, stored_s, plain_s = (p50[name][1:] for name in ("ours", "stored", "plain"))
    reach = 10 if plain.has_characters else 15
    mean = sum(ticket.n_characters for ticket in typical) / len(typical)
    return [
        Figure(f"one ticket of {mean:.0f} characters, p50", "µs", _micro(ours_s)),
        Figure("the joblib parts for it", "µs", _micro(stored_s)),
        Figure("plain scikit-learn pipelines for it", "µs", _micro(plain_s)),
        Figure("one ticket: times faster than the joblib parts", "x", ratios(stored_s, ours_s), at_least=reach),
        Figure("one ticket: times faster than plain pipelines", "x", ratios(plain_s, ours_s)),
    ]


def typical_tickets(tickets: Sequence[Ticket]) -> list[Ticket]:
    """Return tickets of about the typical length; a file of short ones has each continued with the next ones' texts."""
    fitting = [ticket for ticket in tickets if abs(ticket.n_characters - _TYPICAL_CHARACTERS) <= _TOLERANCE]
    if len(fitting) >= _N_TYPICAL:
        return fitting[:_N_TYPICAL]
    texts = [ticket.description for ticket in tickets] * 2 * (_TYPICAL_CHARACTERS // len(tickets) + 1)
    return [
        Ticket(
            ticket.title, " ".join(islice(texts, i, i + _TYPICAL_CHARACTERS))[: _TYPICAL_CHARACTERS - len(ticket.title)]
        )
        for i, ticket in enumerate(tickets[:_N_TYPICAL])
    ]


def _call_seconds(call: Callable[[Ticket], object], tickets: Sequence[Ticket]) -> list[float]:
    return [seconds_of(partial(call, ticket)) for ticket in tickets]


def _batch(classifier: TicketClassifier, stored: Parts, plain: Parts, subject: Subject) -> list[Figure]:
    tickets = (list(subject.tickets) * (_BATCH // len(subject.tickets) + 1))[:_BATCH]
    titles, descriptions = [ticket.title for ticket in tickets], [ticket.description for ticket in tickets]
    texts = [join_fields(ticket.title, ticket.description) for ticket in tickets]
    seconds = take_turns(
        {
            "probabilities": lambda: classifier.predict_proba(titles, descriptions),
            "predictions": lambda: classifier.predict_batch(titles, descriptions),
            "stored": lambda: stored.predict_proba(texts),
            "plain": lambda: plain.predict_proba(texts),
        },
        rounds=subject.rounds,
    )
    ours = seconds["probabilities"]
    return [
        Figure(f"a ticket in a batch of {_BATCH}, probabilities", "µs", _micro(ours, _BATCH)),
        Figure("the same with decisions and alternatives", "µs", _micro(seconds["predictions"], _BATCH)),
        Figure("the joblib parts' probabilities", "µs", _micro(seconds["stored"], _BATCH)),
        Figure("plain pipelines' probabilities", "µs", _micro(seconds["plain"], _BATCH)),
        Figure("batch: times faster than the joblib parts", "x", ratios(seconds["stored"], ours), at_least=8),
        Figure("batch: times faster, decisions included", "x", ratios(seconds["stored"], seconds["predictions"])),
        Figure("batch: times faster than plain pipelines", "x", ratios(seconds["plain"], ours)),
    ]


def _growth_with_text(classifier: TicketClassifier, subject: Subject) -> list[Figure]:
    """Compare twice the text with the text, and take the worst of what somebody could send."""
    text = " ".join(ticket.description for ticket in subject.tickets)
    # The longer text is the shorter one twice, so that nothing differs but the length.
    text = (text * (_LONGEST // len(text) + 1))[: _LONGEST // 2] * 2
    texts = {str(n): text[:n] for n in (_LONGEST // 2, _LONGEST)} | _hostile_texts()
    seconds: dict[str, list[float]] = {name: [] for name in texts}
    for _ in range(subject.rounds):
        for name, of_seconds in seconds.items():
            # The best of a few: at some milliseconds a call, one interruption would be the figure.
            tickets = [Ticket("", texts[name])] * _CALLS_A_TURN
            of_seconds.append(min(_call_seconds(lambda t: classifier.predict(t.title, t.description), tickets)))
    worst = max(seconds, key=lambda name: median(seconds[name]))
    growth = ratios(seconds[str(_LONGEST)], seconds[str(_LONGEST // 2)])
    return [
        Figure(f"a ticket of {_LONGEST} characters", "ms", _milli(seconds[str(_LONGEST)])),
        Figure("twice the text takes times as long", "x", growth, at_most=2.3),
        Figure(f"the worst of {_LONGEST} characters ({worst})", "ms", _milli(seconds[worst]), at_most=10),
    ]


def _hostile_texts() -> dict[str, str]:
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyzäöüéñß"
    seeds = {
        "words that nobody has": "".join(rng.choice(letters + "   ") for _ in range(_LONGEST)),
        "single letters": " ".join(rng.choices(letters, k=_LONGEST // 2)),
        "one long word": "a" * _LONGEST,
        "empty lines": "\n" * _LONGEST,
        "entities that never end": "&a" * (_LONGEST // 2),
        "tags that never end": "<a " * (_LONGEST // 3),
        "combining marks": "a\u0315\u0300" * (_LONGEST // 3),
        "expanding ligatures": "\ufdfa" * _LONGEST,
        "reply headers": "on x\n" * (_LONGEST // 5),
    }
    return {name: text[:_LONGEST] for name, text in seeds.items()}


def _growth_with_features(subject: Subject) -> list[Figure]:
    few, many = (synthetic_classifier(n_features) for n_features in _FEATURE_COUNTS)
    tickets = subject.tickets[:_N_TYPICAL]

    def all_of(classifier: TicketClassifier) -> Callable[[], object]:
        return lambda: [classifier.predict(ticket.title, ticket.description) for ticket in tickets]

    seconds = take_turns({"few": all_of(few), "many": all_of(many)}, rounds=subject.rounds)
    name = f"{_FEATURE_COUNTS[1]:,} features take times as long as {_FEATURE_COUNTS[0]:,}"
    return [Figure(name, "x", ratios(seconds["many"], seconds["few"]), at_most=1.5)]


def _micro(seconds: Sequence[float], n_tickets: int = 1) -> tuple[float, ...]:
    return tuple(value / n_tickets * 1e6 for value in seconds)


def _milli(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(value * 1e3 for value in seconds)
