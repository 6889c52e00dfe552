"""The fit for a team with hardly a labelled ticket: by a recipe that nothing is chosen for, on all that there is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from app.models.features import FeatureSpec
from app.training.fitting.fits import Chosen, Fits, counts_and_pool
from app.training.fitting.fitter import Fitter
from app.training.fitting.recipe import FeatureRecipe, HeadRecipe
from app.training.fitting.selection import CHARACTERS, WORDS, Selection
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.label_numbers import LabelNumbers
from app.training.intake.labelled_tickets import Tickets
from app.training.splitting.overlap import Partition
from app.training.teaching.taught import Taught


def choose_for_described(
    tickets: Tickets, numbers: LabelNumbers, parts: Partition, taught: Taught, vectors: WordVectors | None
) -> Chosen:
    """Return what few labelled tickets need wherever that was measured: all features, and the teacher if there is one.

    Those of ``tickets`` that have no label are taught.
    """
    counts, pool = counts_and_pool(tickets, parts, taught)
    features = FeatureRecipe(FeatureSpec((*WORDS, CHARACTERS)), word_vectors=0.0 if vectors is None else 1.0)
    head = HeadRecipe(teacher_share=0.0 if taught.vectors is None else 1.0)
    selection = Selection(features, dict.fromkeys(numbers.names, head), ())
    return Chosen(taught.numbers_after(numbers), selection, Fitter(counts, features, vectors, pool=pool))


def answers_to_all(chosen: Chosen, fits: Fits, tickets: Tickets) -> dict[str, NDArray[np.float64]]:
    """Return by head probabilities ``(n_tickets, n_labels)`` of the model that was fitted on the very tickets."""
    X = fits.design.X[: len(tickets)]
    return {head: softmax(fits.heads[head].logits(X), axis=1) for head in chosen.numbers.names}


def fit_described(chosen: Chosen, tickets: Tickets) -> Fits:
    """Fit on all tickets and on what describes the labels; nothing is held out."""
    design = chosen.fitter.complete_design(np.arange(len(tickets)))
    heads = {
        head: chosen.fitter.fit(
            design, truth[design.tickets], len(chosen.numbers.names[head]), chosen.selection.heads[head]
        )
        for head, truth in chosen.numbers.truth.items()
    }
    return Fits({}, {}, design, heads, None, None, None)
