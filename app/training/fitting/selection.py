"""Which recipe suits the data: a short search by grouped cross-validation, in the order of what matters most.

A richer choice must earn its cost: it is taken only when it is better by ``_WORTHWHILE``. What a choice is worth is
the mean of accuracy and macro-F1, so that neither the largest nor the smallest labels are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.models.features import BlockSpec, FeatureSpec
from app.training.fitting.design import TermCounts
from app.training.fitting.fitter import Fitter
from app.training.fitting.pool import Pool
from app.training.fitting.recipe import FeatureRecipe, HeadRecipe
from app.training.fitting.scores import confusion, scores_of_counts
from app.training.fitting.softmax_regression import COARSE
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.label_numbers import LabelNumbers
from app.training.splitting.splits import Indices, Split, folds

_N_FOLDS = 3
# More tickets would tell finer differences apart, which are not worth their time; that grows with the labels, too.
_MOST_TICKETS = 6_000
_FEWEST_TICKETS = 3_000
_MOST_LOGITS = 350_000
_WORTHWHILE = 0.002
# Characters are three times as many features as words and pairs, and take as much more time to serve.
_WORTHWHILE_CHARACTERS = 0.004
# A teacher's gain is several points where there is one; with the few tickets that ask for one, less may be chance.
_WORTHWHILE_TEACHER = 0.01
# Labels whose counts differ by less need no weights, and are not asked whether they want any.
_BALANCED_RATIO = 1.5

WORDS = (BlockSpec("word", 1, 1), BlockSpec("word", 2, 2))
CHARACTERS = BlockSpec("char", 3, 4)
TITLE = BlockSpec("title", 1, 1)

# What is asked of each head, in this order; the first value stays unless another is worthwhile.
_HEAD_QUESTIONS: Mapping[str, tuple[float, ...]] = {
    "class_balance": (0.0, 0.5, 1.0),
    "inverse_regularisation": (10.0, 3.0),
    # Short texts, which share few words, want strong vectors; texts with noisy labels lose by them. Still stronger ones
    # gain no accuracy, but confidence tells tickets less well from what is outside all labels.
    "vector_strength": (1.0, 2.0),
    "naive_bayes": (0.0, 0.1),
    "teacher_share": (0.0, 1.0, 0.4),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate, and its score on tickets that it was not fitted to; over all heads where ``head`` is ``None``."""

    head: str | None
    question: str
    choice: str
    score: float
    taken: bool


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What was chosen, and what was tried on the way."""

    features: FeatureRecipe
    heads: Mapping[str, HeadRecipe]
    trials: tuple[Trial, ...]


class Selector:
    """Runs the search on some tickets; ``groups`` are never torn apart."""

    def __init__(
        self,
        counts: TermCounts,
        numbers: LabelNumbers,
        groups: NDArray[np.int64],
        *,
        vectors: WordVectors | None,
        pool: Pool | None = None,
        progress: Callable[[str], None],
    ) -> None:
        self._counts = counts
        self._pool = pool
        self._numbers = numbers
        self._truth = numbers.truth
        self._n_labels = {head: len(names) for head, names in numbers.names.items()}
        self._groups = groups
        self._vectors = vectors
        self._progress = progress
        self._trials: list[Trial] = []
        # What is asked again, because the next question begins where the last one ended, is not fitted again.
        self._known: dict[tuple[str, FeatureRecipe, HeadRecipe], float] = {}

    def select(
        self, tickets: Indices, labels: Mapping[str, Sequence[str]], *, has_titles: bool, seed: int
    ) -> Selection:
        """Choose on ``tickets``, or on a part of them when they are many; ``labels`` are those of all tickets."""
        affordable = _MOST_LOGITS // max(self._n_labels.values())
        n_tickets = min(_MOST_TICKETS, max(_FEWEST_TICKETS, affordable))
        shuffled = np.random.default_rng(seed).permutation(tickets)
        # Of each head as many that have a label of it, which are the same tickets where all have one.
        some = np.unique(np.concatenate([self._numbers.labelled(head, shuffled)[:n_tickets] for head in labels]))
        splits = list(
            folds(
                {head: [values[i] for i in some] for head, values in labels.items()},
                self._groups[some],
                n_folds=_N_FOLDS,
                seed=seed,
            )
        )
        self._splits = [Split(some[split.train], some[split.validation]) for split in splits]
        if self._pool is not None:
            self._pool = self._pool.sample(_MOST_TICKETS, seed=seed)
        features = self._features(has_titles=has_titles)
        fitter = self._fitter(features)
        heads = {head: self._head(head, fitter) for head in labels}
        features = self._without_characters(features, heads)
        return Selection(features, heads, tuple(self._trials))

    def _features(self, *, has_titles: bool) -> FeatureRecipe:
        chosen = FeatureRecipe(FeatureSpec(WORDS))
        best = self._try_features("words and pairs of words", chosen)
        with_characters = FeatureRecipe(FeatureSpec((*WORDS, CHARACTERS)))
        chosen, best = self._better("characters", chosen, best, with_characters, _WORTHWHILE_CHARACTERS)
        if has_titles:
            with_title = FeatureRecipe(FeatureSpec((*chosen.features.blocks, TITLE)))
            chosen, best = self._better("words of the title", chosen, best, with_title, _WORTHWHILE)
        if self._vectors is not None:
            chosen, best = self._better("word vectors", chosen, best, replace(chosen, word_vectors=1.0), _WORTHWHILE)
        return chosen

    def _better(
        self, name: str, chosen: FeatureRecipe, best: float, candidate: FeatureRecipe, worthwhile: float
    ) -> tuple[FeatureRecipe, float]:
        score = self._try_features(f"and {name}", candidate, to_beat=best + worthwhile)
        return (candidate, score) if score >= best + worthwhile else (chosen, best)

    def _try_features(self, choice: str, recipe: FeatureRecipe, *, to_beat: float = 0.0) -> float:
        score = self._mean_score(recipe, dict.fromkeys(self._truth, HeadRecipe()))
        self._trials.append(Trial(None, "features", choice, score, taken=score >= to_beat))
        return score

    def _mean_score(self, features: FeatureRecipe, heads: Mapping[str, HeadRecipe]) -> float:
        fitter = self._fitter(features)
        return float(np.mean([self._score(head, fitter, {"": recipe})[""] for head, recipe in heads.items()]))

    def _fitter(self, features: FeatureRecipe) -> Fitter:
        return Fitter(self._counts, features, self._vectors, pool=self._pool, tolerance=COARSE)

    def _without_characters(self, features: FeatureRecipe, heads: Mapping[str, HeadRecipe]) -> FeatureRecipe:
        """Drop the characters again if the recipes of the heads have made up for them: they cost most of all."""
        if CHARACTERS not in features.features.blocks:
            return features
        blocks = tuple(block for block in features.features.blocks if block != CHARACTERS)
        candidate = replace(features, features=replace(features.features, blocks=blocks))
        scores = [self._mean_score(recipe, heads) for recipe in (features, candidate)]
        dropped = scores[1] > scores[0] - _WORTHWHILE_CHARACTERS
        self._trials += [
            Trial(None, "features, by the recipes of the heads", choice, score, taken=taken)
            for choice, score, taken in zip(("with characters", "without"), scores, (not dropped, dropped), strict=True)
        ]
        return candidate if dropped else features

    def _head(self, head: str, fitter: Fitter) -> HeadRecipe:
        chosen = HeadRecipe()
        for question, values in _HEAD_QUESTIONS.items():
            if question == "class_balance" and self._is_balanced(head):
                continue
            if question == "teacher_share" and (self._pool is None or not self._pool.teaches):
                continue
            if question == "vector_strength" and fitter.recipe.word_vectors == 0:
                continue
            worthwhile = _WORTHWHILE_TEACHER if question == "teacher_share" else _WORTHWHILE
            recipes = {f"{value:g}": replace(chosen, **{question: value}) for value in values}
            scores = self._score(head, fitter, recipes)
            first, best = next(iter(recipes)), max(scores, key=lambda name: scores[name])
            taken = best if scores[best] >= scores[first] + worthwhile else first
            self._trials += [Trial(head, question, name, scores[name], taken=name == taken) for name in recipes]
            chosen = recipes[taken]
        return chosen

    def _is_balanced(self, head: str) -> bool:
        truth = self._truth[head]
        counts = np.bincount(truth[truth >= 0], minlength=self._n_labels[head])
        return bool(counts.max() <= _BALANCED_RATIO * counts.min())

    def _score(self, head: str, fitter: Fitter, recipes: Mapping[str, HeadRecipe]) -> dict[str, float]:
        unknown = {name: recipe for name, recipe in recipes.items() if (head, fitter.recipe, recipe) not in self._known}
        if unknown:
            self._progress(f"{head}: choosing, {len(self._trials)} tried")
            for name, score in self._measured(head, fitter, unknown).items():
                self._known[head, fitter.recipe, unknown[name]] = score
        return {name: self._known[head, fitter.recipe, recipe] for name, recipe in recipes.items()}

    def _measured(self, head: str, fitter: Fitter, recipes: Mapping[str, HeadRecipe]) -> dict[str, float]:
        truth, n_labels = self._truth[head], self._n_labels[head]
        counts = dict.fromkeys(recipes, np.zeros((n_labels, n_labels)))
        for split in self._splits:
            validation = self._numbers.labelled(head, split.validation)
            logits = fitter.score(split.train, validation, truth=truth, n_labels=n_labels, recipes=recipes)
            for name, of_recipe in logits.items():
                counts[name] = counts[name] + confusion(truth[validation], of_recipe.argmax(axis=1), n_labels)
        scores = {}
        for name, of_name in counts.items():
            of_counts = scores_of_counts(of_name[np.newaxis])
            scores[name] = float(of_counts.accuracy[0] + of_counts.macro_f1[0]) / 2
        return scores
