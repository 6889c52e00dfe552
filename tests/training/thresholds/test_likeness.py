"""Few of the training's tickets are refused as unlike the others, and what lies further out than they do is."""

import numpy as np
import pytest

from app.models.likeness import TrainingLikeness
from app.training.fitting.fitter import UNSEEN_LABEL_LOGIT, Familiarity
from app.training.thresholds.confidence_counts import Answered
from app.training.thresholds.likeness import are_unlike, choose_likeness, evidence_of

DRAW = np.random.default_rng(3)
KNOWN = Familiarity(
    DRAW.uniform(0.7, 1.0, 1000), DRAW.uniform(0.2, 0.8, 1000), DRAW.normal(4, 1, 1000), DRAW.normal(3, 1, 1000)
)
EVIDENCE = DRAW.normal(8, 2, 1000)
LIKENESS = choose_likeness(KNOWN, EVIDENCE, n_tickets=1200)


def one(words: float, pairs: float, evidence: float, ticket: float) -> bool:
    return LIKENESS.is_unlike(words, pairs, evidence, ticket)


def test_at_most_a_tenth_of_the_tickets_it_is_chosen_on_are_refused_and_some_are() -> None:
    assert 0.04 < are_unlike(LIKENESS, KNOWN, EVIDENCE).mean() < 0.1
    assert LIKENESS.n_tickets == 1200


def test_what_lies_further_out_is_refused() -> None:
    assert not one(0.9, 0.5, 8.0, 4.0)
    assert one(0.3, 0.0, 8.0, 4.0), "words that no ticket had"
    assert one(0.9, 0.5, -3.0, 4.0), "terms that say nothing"
    assert one(0.9, 0.5, 8.0, -1.0), "terms of texts that are no tickets"


def test_without_other_texts_nothing_is_taken_for_one_and_a_seventh_is_refused() -> None:
    known = Familiarity(KNOWN.known_words, KNOWN.known_pairs, None, None)
    likeness = choose_likeness(known, EVIDENCE, n_tickets=1200)
    assert likeness.least_ticket is None
    assert 0.13 < are_unlike(likeness, known, EVIDENCE).mean() <= 0.14


def test_what_is_the_same_for_all_tickets_counts_for_nothing() -> None:
    same = np.ones(50)
    likeness = choose_likeness(Familiarity(same, same, None, None), same, n_tickets=50)
    assert likeness == TrainingLikeness(50, 0.0, 0.0, 0.0, least=0.0)
    assert not are_unlike(likeness, Familiarity(same, same, None, None), same).any()


def test_evidence_is_the_lead_of_the_highest_logit_over_the_mean_of_those_that_a_model_knew() -> None:
    logits = {"one": np.array([[1.0, 4.0, 1.0], [2.0, UNSEEN_LABEL_LOGIT, 0.0]]), "two": np.array([[1.0, -1.0]] * 2)}
    assert evidence_of(logits, {"one": 2.0, "two": 1.0}).tolist() == pytest.approx([2.0, 1.5])


def test_answers_to_tickets_that_are_unlike_the_others_choose_no_threshold() -> None:
    probabilities, truth = np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])
    answered = Answered.of(probabilities, truth, ambiguity_margin=0.1, are_unlike=np.array([False, True]))
    assert answered.is_clear.tolist() == [True, False]
