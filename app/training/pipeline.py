"""From tickets to the files of a version: split, calibrate, measure, fit on everything, write down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.models.classifier import METADATA_NAME, TicketClassifier
from app.models.decisions import DecisionPolicy
from app.models.model_data import to_files
from app.models.reference import REFERENCE_NAME
from app.models.scorer import softmax
from app.models.self_test import SELF_TEST_NAME, self_test_bytes
from app.training.files.reference import reference_of
from app.training.files.self_test_tickets import self_test_tickets
from app.training.files.version_files import joblib_files, json_bytes, metadata_of
from app.training.fitting.design import Indices, TermCounts
from app.training.fitting.fit import FittedHead, to_model_data
from app.training.fitting.fitter import UNSEEN_LABEL_LOGIT, Design, Fitter
from app.training.fitting.selection import Labelled, Selection, Selector
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.rare_labels import rare_labels
from app.training.measuring.bootstrap import HeldOut
from app.training.measuring.evaluation import decisions_of, evaluate_head
from app.training.measuring.label_errors import Method, Suspect, find_suspects
from app.training.measuring.learning_curve import learning_curve
from app.training.measuring.separate_evaluation import evaluate_separately
from app.training.report.documents import documents
from app.training.report.findings import Findings
from app.training.splitting.overlap import overlap_figures, partition
from app.training.splitting.splits import folds
from app.training.thresholds.calibration import calibration_of, fit_temperature
from app.training.thresholds.confidence_counts import COUNTS_NAME, Answered, Counts, HeadCounts, counts_to_bytes
from app.training.thresholds.costs import HeadCosts
from app.training.thresholds.operating_points import Thresholds, choose

Progress = Callable[[str], None]

# With so few tickets, a term that only one of them has may still be the best that there is.
_MOST_TICKETS_FOR_RARE_TERMS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What does not come from the data."""

    version: str
    trained_at: str
    validation_split: float = 0.2
    seed: int = 42
    evaluate: bool = True
    target_precision: float = 0.95
    word_vectors: WordVectors | None = None
    n_folds: int = 5
    # By head; a head without costs gets thresholds for ``target_precision``.
    costs: Mapping[str, HeadCosts] = field(default_factory=dict)
    ambiguity_margin: float = 0.1
    min_known_share: float = 0.5
    show_examples: bool = True
    label_errors: Method = "builtin"


@dataclass(frozen=True, slots=True, eq=False)
class _HeadDecisions:
    """What out-of-fold predictions say about a head's confidences."""

    temperature: float
    thresholds: Thresholds
    before: dict[str, float]
    after: dict[str, float]


def train(
    tickets: Tickets,
    options: TrainingOptions,
    *,
    eval_tickets: Tickets | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, bytes]:
    """Return the files of a model version by name, all but the manifest.

    Thresholds and temperature come from out-of-fold predictions on the training part, the figures in ``metrics.json``
    from the validation part, which took no part in either; the model itself is then fitted on all tickets.
    """
    # More threads would sum in another order, and so to other last bits on a machine with more cores; and the matrices
    # are too narrow to be faster for it.
    with threadpool_limits(limits=1):
        return _train(tickets, options, eval_tickets, progress)


def _train(
    tickets: Tickets, options: TrainingOptions, eval_tickets: Tickets | None, progress: Progress
) -> dict[str, bytes]:
    run = _Run(tickets, options, progress)
    metrics: dict[str, dict[str, Any]] = {head: {} for head in tickets.labels}
    decisions = {head: run.decide(head) for head in tickets.labels}
    for head, decided in decisions.items():
        metrics[head]["recipe"] = run.recipe_of(head)
        metrics[head]["calibration_out_of_fold"] = {
            "temperature": decided.temperature,
            "before": decided.before,
            "after": decided.after,
        }
        metrics[head].update(decided.thresholds.figures)
        if options.evaluate:
            metrics[head].update(run.validate(head, decided))
            metrics[head]["overlap"] = overlap_figures(run.partition)
    suspects = {head: run.suspects(head) for head in tickets.labels}
    for head, found in suspects.items():
        metrics[head]["label_errors"] = {"n_suspects": len(found), "method": options.label_errors}
    progress("fitting on all tickets")
    design = run.fitter.complete_design(np.arange(len(tickets)))
    fitted = [run.final_head(head, design, decisions[head]) for head in tickets.labels]
    model = to_model_data(run.selection.features.features, design.fitted, fitted)
    metadata = {
        **metadata_of(tickets, run.partition, metrics),
        "version": options.version,
        "trained_at": options.trained_at,
        "seed": options.seed,
        "target_precision": options.target_precision,
    }
    classifier = TicketClassifier(model, metadata)
    if eval_tickets is not None:
        progress("evaluating on the separate file")
        for head in tickets.labels:
            metrics[head]["eval_data"] = evaluate_separately(classifier, head, eval_tickets, options.seed)
    findings = Findings(
        tickets=tickets,
        partition=run.partition,
        model=model,
        unseen=run.unseen,
        suspects=suspects,
        metadata=metadata,
        metrics=metrics,
        show_examples=options.show_examples,
    )
    reference = reference_of(
        tickets,
        run.unseen,
        min_document_frequency=run.min_document_frequency,
        words_known_anyway=run.fitter.words_known_anyway,
        seed=options.seed,
    )
    return {
        **to_files(model),
        **joblib_files(design.fitted, fitted),
        METADATA_NAME: json_bytes(metadata),
        "metrics.json": json_bytes(metrics),
        **documents(findings),
        COUNTS_NAME: counts_to_bytes({head: run.counts(head, decided) for head, decided in decisions.items()}),
        REFERENCE_NAME: reference.to_bytes(),
        SELF_TEST_NAME: self_test_bytes(classifier.predict_proba, self_test_tickets(model)),
    }


class _Run:
    """One training run: the split and the texts, which every step shares."""

    def __init__(self, tickets: Tickets, options: TrainingOptions, progress: Progress) -> None:
        self.tickets = tickets
        self.options = options
        self.progress = progress
        self.min_document_frequency = 1 if len(tickets) <= _MOST_TICKETS_FOR_RARE_TERMS else 2
        numbered = {
            head: np.unique(np.asarray(y, dtype=object), return_inverse=True) for head, y in tickets.labels.items()
        }
        self.names = {head: tuple(str(name) for name in names) for head, (names, _) in numbered.items()}
        self.truth = {head: truth for head, (_, truth) in numbered.items()}
        progress("keeping similar tickets together")
        self.partition = partition(tickets, share=options.validation_split, seed=options.seed)
        self.groups, self.split = self.partition.grouping.ids, self.partition.split
        # For each head, the probabilities of each ticket from a model that did not see it; NaN where there are none.
        self.unseen: dict[str, NDArray[np.float64]] = {}
        counts = TermCounts(tickets.titles, tickets.descriptions, min_document_frequency=self.min_document_frequency)
        self.selection = self._select(counts)
        self.fitter = Fitter(counts, self.selection.features, options.word_vectors)

    def _select(self, counts: TermCounts) -> Selection:
        n_labels = {head: len(names) for head, names in self.names.items()}
        selector = Selector(
            counts,
            Labelled(self.truth, n_labels),
            self.groups,
            vectors=self.options.word_vectors,
            progress=self.progress,
        )
        has_titles = any(title.strip() for title in self.tickets.titles)
        return selector.select(self.split.train, self.tickets.labels, has_titles=has_titles, seed=self.options.seed)

    def recipe_of(self, head: str) -> dict[str, Any]:
        """Return what was chosen for ``head`` and what was tried, as plain JSON values."""
        mine = [trial for trial in self.selection.trials if trial.head in {None, head}]
        return {
            "features": asdict(self.selection.features),
            "min_document_frequency": self.min_document_frequency,
            "head": asdict(self.selection.heads[head]),
            "trials": [asdict(trial) for trial in mine],
        }

    def decide(self, head: str) -> _HeadDecisions:
        """Calibrate and set thresholds on out-of-fold predictions of the training part."""
        self.progress(f"{head}: out-of-fold predictions")
        names, truth, train = self.names[head], self.truth[head], self.split.train
        logits = np.full((len(train), len(names)), -np.inf)
        labels = {name: [values[i] for i in train] for name, values in self.tickets.labels.items()}
        for fold in folds(labels, self.groups[train], n_folds=self.options.n_folds, seed=self.options.seed):
            logits[fold.validation] = self._fit_and_score(head, train[fold.train], train[fold.validation])
        # A ticket whose label the fold could not know says nothing about confidence in the labels that it knew.
        known = logits[np.arange(len(train)), truth[train]] > UNSEEN_LABEL_LOGIT
        temperature = fit_temperature(logits[known], truth[train][known])
        before, after = softmax(logits), softmax(logits / temperature)
        self.unseen[head] = np.full((len(self.tickets), len(names)), np.nan)
        self.unseen[head][train] = after
        thresholds = choose(
            self._answered(after, truth[train]),
            names,
            target_precision=self.options.target_precision,
            costs=self.options.costs.get(head),
            left_to_review=tuple(rare_labels(self.tickets.labels[head])),
        )
        return _HeadDecisions(
            temperature,
            thresholds,
            calibration_of(before, truth[train]),
            calibration_of(after, truth[train]),
        )

    def validate(self, head: str, decided: _HeadDecisions) -> dict[str, Any]:
        self.progress(f"{head}: validation")
        names, truth = self.names[head], self.truth[head]
        train, validation = self.split.train, self.split.validation
        logits = self._fit_and_score(head, train, validation)
        probabilities = softmax(logits / decided.temperature)
        self.unseen[head][validation] = probabilities
        held_out = HeldOut(truth[validation], self.groups[validation], len(names))
        n_words = self.partition.n_words[validation]
        figures = evaluate_head(probabilities, held_out, names, n_words=n_words, seed=self.options.seed)
        figures["decisions"] = decisions_of(probabilities, truth[validation], names, self.policy(decided))
        self.progress(f"{head}: learning curve")
        figures["learning_curve"] = learning_curve(
            lambda some: self._fit_and_score(head, some, validation).argmax(axis=1),
            train,
            predicted=probabilities.argmax(axis=1),
            held_out=held_out,
            seed=self.options.seed,
        )
        return figures

    def counts(self, head: str, decided: _HeadDecisions) -> HeadCounts:
        validation: Counts | None = None
        if self.options.evaluate:
            held_out = self.split.validation
            validation = self._answered(self.unseen[head][held_out], self.truth[head][held_out]).counts(
                self.names[head]
            )
        left_to_review = tuple(rare_labels(self.tickets.labels[head]))
        return HeadCounts(decided.thresholds.counts, validation, left_to_review)

    def _answered(self, probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> Answered:
        return Answered.of(probabilities, truth, ambiguity_margin=self.options.ambiguity_margin)

    def suspects(self, head: str) -> list[Suspect]:
        labels = self.tickets.labels[head]
        return find_suspects(self.unseen[head], labels, sorted(set(labels)), method=self.options.label_errors)

    def policy(self, decided: _HeadDecisions) -> DecisionPolicy:
        return DecisionPolicy(decided.thresholds.points, self.options.ambiguity_margin, self.options.min_known_share)

    def final_head(self, head: str, design: Design, decided: _HeadDecisions) -> FittedHead:
        linear = self.fitter.fit(design, self.truth[head], len(self.names[head]), self.selection.heads[head])
        served = linear.with_temperature(decided.temperature).as_served(design.fitted.idf)
        return FittedHead(head, self.names[head], served, self.policy(decided))

    def _fit_and_score(self, head: str, train: Indices, others: Indices) -> NDArray[np.float64]:
        """Return logits ``(n_others, n_labels)``; a label that ``train`` lacks can never be predicted."""
        recipes = {head: self.selection.heads[head]}
        return self.fitter.score(
            train, others, truth=self.truth[head], n_labels=len(self.names[head]), recipes=recipes
        )[head]
