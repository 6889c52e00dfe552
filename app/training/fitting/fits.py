"""The fits of a run: a recipe for its tickets, what models of it say of tickets they had not seen, and heads of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.fitting.design import NO_SENDER, TermCounts
from app.training.fitting.fit import LinearHead
from app.training.fitting.fitter import Design, Familiarity, Fitter
from app.training.fitting.pool import Pool
from app.training.fitting.selection import Selection, Selector
from app.training.fitting.ticket_teller import TicketTeller
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.label_numbers import LabelNumbers
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.learnable_words import FEWEST_SENDERS
from app.training.splitting.overlap import Partition
from app.training.splitting.splits import Indices, Split, folds
from app.training.teaching.encoder import PACKAGE
from app.training.teaching.taught import Taught

_N_FOLDS = 5

Progress = Callable[[str], None]
Logits = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The recipe that was chosen for the tickets of a run, to be fitted on any of them."""

    numbers: LabelNumbers
    selection: Selection
    fitter: Fitter
    n_unlabelled: int = 0

    def logits(self, head: str, train: Indices, others: Indices, *, apart: TermCounts | None = None) -> Logits:
        """Fit on ``train`` and return logits ``(n_others, n_labels)``; see ``Fitter.score``.

        A label that ``train`` lacks can never be predicted.
        """
        truth, n_labels = self.numbers.truth[head], len(self.numbers.names[head])
        recipes = {head: self.selection.heads[head]}
        answers = self.fitter.score(train, others, truth=truth, n_labels=n_labels, recipes=recipes, apart=apart)
        return answers[head]

    def figures(self, head: str) -> dict[str, Any]:
        """Return what was chosen for ``head`` and what was tried, as plain JSON values."""
        mine = [trial for trial in self.selection.trials if trial.head in {None, head}]
        teacher = {"teacher": self._teacher_figures(head)} if self.n_unlabelled and self.selection.trials else {}
        return {
            "features": asdict(self.selection.features),
            "fewest_senders": FEWEST_SENDERS,
            "head": asdict(self.selection.heads[head]),
            "trials": [asdict(trial) for trial in mine],
            **teacher,
        }

    def _teacher_figures(self, head: str) -> dict[str, Any]:
        shares = [trial for trial in self.selection.trials if (trial.head, trial.question) == (head, "teacher_share")]
        taken = self.selection.heads[head].teacher_share
        return {
            "encoder": PACKAGE,
            "n_unlabelled": self.n_unlabelled,
            "share": taken,
            "score_without": next(trial.score for trial in shares if float(trial.choice) == 0),
            "score_with": max(trial.score for trial in shares if float(trial.choice) > 0),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """What the fits of a run gave, by head, before calibration.

    ``out_of_fold``: logits of the training part, in its order, each from a model of the other folds. ``validation``:
    those of the validation part from a model of the training part; empty where nothing is to be evaluated. ``heads``
    are fitted on all tickets, on the features of ``design``, and so is ``ticket_column``. ``familiar_out_of_fold`` and
    ``familiar_validation`` compare the same tickets with those that the same models were fitted on.
    """

    out_of_fold: Mapping[str, Logits]
    validation: Mapping[str, Logits]
    design: Design
    heads: Mapping[str, LinearHead]
    familiar_out_of_fold: Familiarity | None
    familiar_validation: Familiarity | None
    ticket_column: NDArray[np.float64] | None


def senders_of(tickets: Tickets, parts: Partition) -> NDArray[np.int64]:
    """Return a number for the sender of each ticket: its group where groups are named, else each has its own.

    Those of the unlabelled tickets of ``parts`` come last.
    """
    n_tickets = len(tickets) + len(parts.unlabelled_groups)
    return np.arange(n_tickets) if tickets.groups is None else parts.all_groups


def choose_recipe(  # noqa: PLR0913 - all that a choice depends on
    tickets: Tickets,
    numbers: LabelNumbers,
    parts: Partition,
    *,
    vectors: WordVectors | None,
    taught: Taught | None = None,
    no_tickets: Sequence[str] | None = None,
    seed: int,
    progress: Progress,
) -> Chosen:
    """Choose features and heads on the training part; of what was ``taught``, whether it pays."""
    counts, pool = counts_and_pool(tickets, parts, taught)
    numbers = numbers if taught is None else taught.numbers_after(numbers)
    selector = Selector(counts, numbers, parts.grouping.ids, vectors=vectors, pool=pool, progress=progress)
    has_titles = any(title.strip() for title in tickets.titles)
    selection = selector.select(parts.split.train, tickets.labels, has_titles=has_titles, seed=seed)
    titles = tickets.titles if taught is None else taught.texts_after(tickets)[0]
    teller = None if no_tickets is None else TicketTeller(no_tickets, titles)
    fitter = Fitter(counts, selection.features, vectors, pool=pool, teller=teller)
    return Chosen(numbers, selection, fitter, 0 if pool is None else len(pool.unlabelled))


def counts_and_pool(tickets: Tickets, parts: Partition, taught: Taught | None) -> tuple[TermCounts, Pool | None]:
    """Return the terms of ``tickets`` and of what follows them, and what of it is always trained on."""
    senders = senders_of(tickets, parts)
    if taught is None:
        return TermCounts(tickets.titles, tickets.descriptions, senders=senders, fewest_senders=FEWEST_SENDERS), None
    n_tickets, n_texts = len(tickets) + len(taught.unlabelled), len(taught.label_texts)
    # Nobody's secret, and nobody's near-duplicate.
    senders = np.concatenate([senders, np.full(n_texts, NO_SENDER)])
    groups = np.concatenate([parts.all_groups, np.full(n_texts, -1)])
    counts = TermCounts(*taught.texts_after(tickets), senders=senders, fewest_senders=FEWEST_SENDERS)
    of_unlabelled, of_texts = np.arange(len(tickets), n_tickets), np.arange(n_tickets, n_tickets + n_texts)
    return counts, Pool(of_unlabelled, of_texts, taught.vectors, groups)


def fit_all(
    chosen: Chosen,
    tickets: Tickets,
    parts: Partition,
    *,
    evaluate: bool,
    seed: int,
    progress: Progress,
) -> Fits:
    train, validation = parts.split.train, parts.split.validation
    labels = {head: [values[i] for i in train] for head, values in tickets.labels.items()}
    splits = list(folds(labels, parts.grouping.ids[train], n_folds=_N_FOLDS, seed=seed))
    out_of_fold, of_validation = {}, {}
    for head, names in chosen.numbers.names.items():
        progress(f"{head}: out-of-fold predictions")
        out_of_fold[head] = np.full((len(train), len(names)), -np.inf)
        for fold in splits:
            out_of_fold[head][fold.validation] = chosen.logits(head, train[fold.train], train[fold.validation])
        if evaluate:
            progress(f"{head}: validation")
            of_validation[head] = chosen.logits(head, train, validation)
    progress("what tickets have in common")
    of_folds = [chosen.fitter.familiarity(train[fold.train], train[fold.validation]) for fold in splits]
    familiar_validation = chosen.fitter.familiarity(train, validation) if evaluate else None
    progress("fitting on all tickets")
    design, recipes = chosen.fitter.complete_design(np.arange(len(tickets))), chosen.selection.heads
    heads = {
        head: chosen.fitter.fit(design, chosen.numbers.truth[head][design.tickets], len(names), recipes[head])
        for head, names in chosen.numbers.names.items()
    }
    return Fits(
        out_of_fold,
        of_validation,
        design,
        heads,
        _joined(of_folds, splits),
        familiar_validation,
        chosen.fitter.ticket_column(design),
    )


def _joined(of_folds: Sequence[Familiarity], splits: Sequence[Split]) -> Familiarity | None:
    """Return one for the tickets of all folds, in their order; none where they could not be split."""
    if not of_folds:
        return None
    order = np.argsort(np.concatenate([fold.validation for fold in splits]))

    def joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.concatenate(parts)[order]

    told = [(of_fold.ticket, of_fold.title) for of_fold in of_folds]
    return Familiarity(
        joined([of_fold.known_words for of_fold in of_folds]),
        joined([of_fold.known_pairs for of_fold in of_folds]),
        joined([ticket for ticket, _ in told if ticket is not None]) if told[0][0] is not None else None,
        joined([title for _, title in told if title is not None]) if told[0][1] is not None else None,
    )
