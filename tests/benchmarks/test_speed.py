"""Guards on speed that hold on any machine: ratios of interleaved timings, and counts of calls instead of times."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.models.classifier import TicketClassifier
from benchmarks.scikit_learn_parts import Parts, plain_parts
from benchmarks.synthetic_model import synthetic_classifier

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "v1.0.0"
DESCRIPTION = (
    "Since this morning nobody in our office can open the invoices in the customer portal. The page loads for a minute "
    "and then shows error 502. We have tried three browsers and two networks. Month end closes tomorrow at noon, so "
    "please call us back as soon as you know more."
)
TICKETS = [(f"Portal error {i}", f"{DESCRIPTION} Case {i * 37 % 1000}.") for i in range(256)]


@pytest.fixture(scope="module")
def classifier() -> TicketClassifier:
    return TicketClassifier.load(MODEL)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return plain_parts(MODEL)


def quickest_seconds(*contestants: Callable[[], object], rounds: int) -> list[float]:
    """Return the best of many turns of each; what else runs on the machine can only make a turn slower."""
    best = [float("inf")] * len(contestants)
    for _ in range(rounds):
        for i, call in enumerate(contestants):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def count_calls(call: Callable[[], object]) -> int:
    """Return how many functions, of Python and of C, ``call`` enters: the same on every machine."""
    n_calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal n_calls
        n_calls += event in {"call", "c_call"}

    call()
    sys.setprofile(count)
    try:
        call()
    finally:
        sys.setprofile(None)
    return n_calls


def test_one_ticket_takes_less_than_a_sixth_of_plain_scikit_learn(classifier: TicketClassifier, parts: Parts) -> None:
    title, description = TICKETS[0]
    ours, theirs = quickest_seconds(
        lambda: classifier.predict(title, description),
        lambda: parts.predict_proba([f"{title}\n{description}"]),
        rounds=200,
    )
    assert ours * 6 < theirs


def test_a_batch_takes_less_than_a_third_of_plain_scikit_learn(classifier: TicketClassifier, parts: Parts) -> None:
    titles, descriptions = [title for title, _ in TICKETS], [text for _, text in TICKETS]
    texts = [f"{title}\n{text}" for title, text in TICKETS]
    ours, theirs = quickest_seconds(
        lambda: classifier.predict_proba(titles, descriptions), lambda: parts.predict_proba(texts), rounds=15
    )
    assert ours * 3 < theirs


def test_with_words_and_pairs_a_ticket_in_a_batch_takes_less_than_half_of_one_alone() -> None:
    # Character n-grams are work for each word, in a batch or alone; the default model has them.
    classifier = synthetic_classifier(100_000)
    titles, descriptions = [title for title, _ in TICKETS], [text for _, text in TICKETS]
    together, alone = quickest_seconds(
        lambda: classifier.predict_batch(titles, descriptions),
        lambda: [classifier.predict(*ticket) for ticket in TICKETS],
        rounds=15,
    )
    assert together * 2 < alone


def test_sixty_times_the_text_makes_less_than_four_times_the_calls(classifier: TicketClassifier) -> None:
    short, long = (count_calls(lambda n=n: classifier.predict("Portal", DESCRIPTION * n)) for n in (1, 60))
    assert long < 4 * short


def test_a_prediction_makes_as_many_calls_whatever_the_number_of_features() -> None:
    few, many = (synthetic_classifier(n_features) for n_features in (1_000, 50_000))
    calls = [count_calls(lambda c=c: c.predict("Portal", "word1 word2 word7 of our office")) for c in (few, many)]
    assert calls[1] < 1.2 * calls[0]


def test_a_batch_makes_few_calls_a_ticket(classifier: TicketClassifier) -> None:
    titles, descriptions = [title for title, _ in TICKETS], [text for _, text in TICKETS]
    assert count_calls(lambda: classifier.predict_proba(titles, descriptions)) < 40 * len(TICKETS)
