"""Thresholds by what people judged: estimates that the order of judging does not bend, and what is not known stays."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from app.training.thresholds.judged_points import (
    AnswerCount,
    Evidence,
    JudgedAnswer,
    choose_judged,
    effective_number,
)

AUTO, QUEUE = "auto, by chance", "suggest, certain"
AUDIT_SHARE = 0.05


def counts(answers: Sequence[JudgedAnswer]) -> list[AnswerCount]:
    found = Counter((answer.kind, round(answer.confidence, 3)) for answer in answers)
    return [AnswerCount(kind, confidence, n) for (kind, confidence), n in found.items()]


def everybody(answers: Sequence[JudgedAnswer]) -> Evidence:
    return Evidence(answers, counts(answers))


def field(random: np.random.Generator, n: int) -> list[JudgedAnswer]:
    """Return answers that are right more often the higher their confidence; from 0.8 on few are asked about."""
    confidences = random.uniform(0.4, 1, n)
    right = random.random(n) < 0.2 + 0.79 * confidences
    return [
        JudgedAnswer(*((AUTO, float(c), AUDIT_SHARE) if c >= 0.8 else (QUEUE, float(c), 1.0)), bool(r))
        for c, r in zip(confidences, right, strict=True)
    ]


def judged_of(random: np.random.Generator, answers: Sequence[JudgedAnswer]) -> list[JudgedAnswer]:
    """Return the audits, and of the others mostly those of low confidence, as the order of the queue has it."""
    return [
        answer
        for answer in answers
        if random.random() < (AUDIT_SHARE if answer.kind == AUTO else 0.05 + 1.5 * (0.8 - answer.confidence))
    ]


def test_the_estimate_is_not_bent_by_whom_is_asked_and_in_which_order() -> None:
    errors, plain_errors = [], []
    for seed in range(40):
        random = np.random.default_rng(seed)
        answers = field(random, 5000)
        judged = judged_of(random, answers)
        truth = np.mean([answer.is_right for answer in answers if answer.confidence >= 0.5])
        share = choose_judged(Evidence(judged, counts(answers)), 2.0, before=0.5).share
        assert share is not None
        assert share.least == share.greatest
        errors.append(share.least - truth)
        plain_errors.append(np.mean([answer.is_right for answer in judged if answer.confidence >= 0.5]) - truth)

    assert np.mean(plain_errors) < -0.05
    assert abs(np.mean(errors)) < 0.006
    assert np.abs(errors).max() < 0.06


def test_where_all_are_judged_it_is_the_lowest_confidence_that_keeps_the_promise() -> None:
    answers = [JudgedAnswer(QUEUE, i / 100, 1.0, i >= 60 or i % 2 == 0) for i in range(100)]

    chosen = choose_judged(everybody(answers), 0.95, before=0.9)

    above = [answer.is_right for answer in answers if answer.confidence >= (chosen.auto or 0)]
    below = [answer.is_right for answer in answers if answer.confidence >= (chosen.auto or 0) - 0.01]
    assert chosen.is_proven
    assert np.mean(above) >= 0.95 > np.mean(below)


def test_an_audit_counts_by_one_over_its_chance_also_when_the_chance_has_changed() -> None:
    # Asked about with 0.5: all wrong; with 0.1: all right. Of 20 and 100 answers that were asked about so, 10 each.
    judged = [JudgedAnswer(AUTO, 0.9, 0.5, is_right=False)] * 10 + [JudgedAnswer(AUTO, 0.9, 0.1, is_right=True)] * 10

    share = choose_judged(Evidence(judged, [AnswerCount(AUTO, 0.9, 120)]), 2.0, before=0.5).share

    assert share is not None
    assert share.least == pytest.approx(100 / 120)
    assert share.n_answers == 120


def test_what_nobody_judged_proves_neither_that_a_label_may_act_nor_that_it_may_not() -> None:
    judged = [JudgedAnswer(QUEUE, 0.7, 1.0, is_right=True)] * 40
    evidence = Evidence(judged, [AnswerCount(QUEUE, 0.7, 40), AnswerCount(AUTO, 0.95, 1000)])

    chosen = choose_judged(evidence, 0.95, before=0.9)

    assert (chosen.auto, chosen.is_proven) == (0.9, False)
    assert choose_judged(evidence, 0.95, before=None).auto is None


def test_a_threshold_that_is_proven_wrong_is_taken_away() -> None:
    chosen = choose_judged(
        everybody([JudgedAnswer(AUTO, 0.95, 0.05, is_right=i % 2 == 0) for i in range(60)]), 0.95, before=0.9
    )

    assert (chosen.auto, chosen.is_proven) == (None, True)
    assert chosen.share is not None
    assert chosen.share.greatest == pytest.approx(0.5)


def test_too_few_judged_answers_change_nothing() -> None:
    evidence = everybody([JudgedAnswer(AUTO, 0.95, 0.05, is_right=False)] * 19)

    assert choose_judged(evidence, 0.95, before=0.9).auto == 0.9
    assert effective_number(evidence) == pytest.approx(19)


def test_answers_of_very_different_weight_prove_less_than_their_number() -> None:
    judged = [JudgedAnswer(AUTO, 0.9, 0.01, is_right=True)] + [JudgedAnswer(AUTO, 0.9, 1.0, is_right=True)] * 100

    assert effective_number(Evidence(judged, [AnswerCount(AUTO, 0.9, 200)])) < 5


def test_nothing_is_chosen_from_nothing() -> None:
    assert choose_judged(Evidence((), ()), 0.95, before=0.8).auto == 0.8
    assert effective_number(Evidence((), ())) == 0


def test_judged_answers_stand_for_no_more_answers_than_there_are() -> None:
    # Closer to each other than the thousandths that answers are counted by.
    evidence = everybody([JudgedAnswer(AUTO, 0.99 + i / 10_010, 1.0, is_right=True) for i in range(100)])

    point = choose_judged(evidence, 0.9, before=None)

    assert point.share is not None
    assert point.share.n_answers == pytest.approx(100)
    assert effective_number(evidence) == pytest.approx(100)
