"""What a store knows of a version's answers, as the evidence that thresholds are chosen by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from app.store.existing import existing_store
from app.store.judged_answers import Answered, count_answers, read_judged_answers
from app.training.thresholds.judged_points import AnswerCount, Evidence, JudgedAnswer


def read_evidence(store_url: str, model_digest: str) -> Mapping[str, Mapping[str, Evidence]]:
    """Return by head and label what is known of the answers of the model with that digest.

    Raise ``NoStoreError`` or ``StoreUnavailableError``.
    """
    judged: dict[tuple[str, str], list[JudgedAnswer]] = defaultdict(list)
    counts: dict[tuple[str, str], list[AnswerCount]] = defaultdict(list)
    with existing_store(store_url) as database:
        for one in read_judged_answers(database, model_digest):
            answered = one.answered
            judged[answered.head, answered.label].append(
                JudgedAnswer(_kind(answered), answered.confidence, one.asked_chance, one.is_right)
            )
        for count in count_answers(database, model_digest):
            answered = count.answered
            counts[answered.head, answered.label].append(
                AnswerCount(_kind(answered), answered.confidence, count.n_answers)
            )
    evidence: dict[str, dict[str, Evidence]] = defaultdict(dict)
    for head, label in judged.keys() | counts.keys():
        evidence[head][label] = Evidence(judged[head, label], counts[head, label])
    return evidence


def _kind(answered: Answered) -> str:
    return f"{answered.decision}, {'certain' if answered.is_certain else 'by chance'}"
