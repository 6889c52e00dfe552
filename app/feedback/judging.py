"""The rules of judging: which labels a remark may give, and what each judgement of it counts for; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING

from app.errors import UNKNOWN_LABEL, VALIDATION_FAILED, FieldError, ServiceError
from app.store.judgement import Answered, HeadAnswer, Judgement, Remark

if TYPE_CHECKING:
    from app.models.classifier import TicketClassifier
    from app.store.feedback import Judge

_UNKNOWN_HEAD = FieldError("labels.(unknown head)", "is not a head of the model")
_UNKNOWN_LABEL = "is not a label of this head; allow_new_labels takes it all the same"


def judging_by(classifier: TicketClassifier) -> Judge:
    """Return what judges by the labels of ``classifier``, the model that serves."""
    return partial(judge, serving_labels={head: classifier.labels(head) for head in classifier.heads})


def judge(
    remark: Remark, answered: Answered | None, *, serving_labels: Mapping[str, Collection[str]]
) -> tuple[Judgement, ...]:
    """Return the judgements of a remark, in the order of their heads; ``answered`` is the prediction that it is about.

    Heads and labels must be those of the model that serves, or those that the prediction names. Raise ``ServiceError``
    (422) where they are not.
    """
    of_prediction = {} if answered is None else answered.heads
    _check_heads(remark.labels, serving_labels.keys() | of_prediction.keys())
    if not remark.allow_new_labels:
        _check_labels(remark.labels, serving_labels, of_prediction)
    return tuple(_judgement(head, label, remark, answered) for head, label in sorted(remark.labels.items()))


def _check_heads(heads: Collection[str], known: Collection[str]) -> None:
    if not all(head in known for head in heads):
        raise ServiceError(VALIDATION_FAILED, errors=[_UNKNOWN_HEAD])


def _check_labels(
    labels: Mapping[str, str], serving_labels: Mapping[str, Collection[str]], answers: Mapping[str, HeadAnswer]
) -> None:
    errors = [
        FieldError(f"labels.{head}", _UNKNOWN_LABEL)
        for head, label in labels.items()
        if label not in serving_labels.get(head, ()) and label not in _named(answers.get(head))
    ]
    if errors:
        raise ServiceError(UNKNOWN_LABEL, errors=errors)


def _named(answer: HeadAnswer | None) -> tuple[str, ...]:
    return () if answer is None else (answer.label, *answer.alternatives)


def _judgement(head: str, label: str, remark: Remark, answered: Answered | None) -> Judgement:
    if answered is None or head not in answered.heads:
        return Judgement(head, label)
    answer = answered.heads[head]
    return Judgement(
        head,
        label,
        predicted_label=answer.label,
        predicted_decision=answer.decision,
        model_version=answered.model_version,
        model_digest=answered.model_digest,
        # A helpdesk's people saw the answer, and what it reports comes only when something changed.
        is_audit=answered.is_audit and answer.decision == "auto" and remark.source != "helpdesk",
        asked_chance=answered.asked_chance if _was_asked(answered) else None,
    )


def _was_asked(answered: Answered) -> bool:
    return answered.is_audit or any(answer.decision != "auto" for answer in answered.heads.values())
