"""From tickets to the files of a version, a line of values: each room takes what those before it made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from app.models.classifier import TicketClassifier
from app.training.files.version_files import version_files
from app.training.fitting.described import answers_to_all, choose_for_described, fit_described
from app.training.fitting.elsewhere import answers_elsewhere
from app.training.fitting.fit import FittedHead, to_model_data
from app.training.fitting.fits import Chosen, Fits, Progress, choose_recipe, fit_all
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.enough_labels import FEWEST_TO_MEASURE
from app.training.intake.label_numbers import number_labels
from app.training.intake.label_texts import LabelTexts
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import NOBODY, Unlabelled, with_unlabelled
from app.training.measuring.label_errors import Method
from app.training.measuring.measure import Measures, measure
from app.training.measuring.separate_evaluation import evaluate_separately
from app.training.measuring.unmeasured import unmeasured
from app.training.report.findings import Findings
from app.training.report.metadata import beside_tickets, metadata_of
from app.training.splitting.overlap import Partition, nothing_held_out, overlap_of_files, partition
from app.training.teaching.encoder import SentenceEncoder
from app.training.teaching.taught import Taught
from app.training.thresholds.decide import Aims, Decisions, calibrated_heads, decide
from app.training.thresholds.undecided import undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What does not come from the data."""

    version: str
    trained_at: str
    validation_split: float = 0.2
    seed: int = 42
    evaluate: bool = True
    aims: Aims = field(default_factory=Aims)
    word_vectors: WordVectors | None = None
    no_tickets: Sequence[str] | None = None
    # For thresholds and temperature alone, with labels that those to learn from have.
    calibration: Tickets | None = None
    encoder: SentenceEncoder | None = None
    show_examples: bool = True
    label_errors: Method = "builtin"


@dataclass(frozen=True, slots=True, eq=False)
class _Sources:
    """What a model learns from and is measured on, as ``train`` explains it."""

    tickets: Tickets
    evaluation: Tickets | None
    unlabelled: Unlabelled | None
    label_texts: LabelTexts | None

    @property
    def are_too_few(self) -> bool:
        """Say whether a described head has too few labelled tickets for any of them to be held out."""
        described = () if self.label_texts is None else self.label_texts.heads
        given = self.tickets.given_labels()
        return any(len(given.get(head, ())) < FEWEST_TO_MEASURE for head in described)

    def for_encoder(self, encoder: SentenceEncoder | None, progress: Progress) -> Taught | None:
        """Return what stands beside the labelled tickets, if anything does."""
        if self.unlabelled is None and self.label_texts is None:
            return None
        texts = () if self.label_texts is None else self.label_texts.texts
        return Taught.of(self.tickets, self.unlabelled or NOBODY, texts, encoder, progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """What a way of training came to, before its files are written."""

    tickets: Tickets
    parts: Partition
    chosen: Chosen
    fits: Fits
    decided: Decisions
    heads: tuple[FittedHead, ...]
    measures: Measures


def train(
    tickets: Tickets,
    options: TrainingOptions,
    *,
    eval_tickets: Tickets | None = None,
    unlabelled: Unlabelled | None = None,
    label_texts: LabelTexts | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, bytes]:
    """Return the files of a model version by name, all but the manifest.

    ``unlabelled`` tickets are for the encoder of ``options`` to teach from, and ``label_texts`` describe the labels;
    nothing is measured on either. ``eval_tickets`` are of a file of its own, which nothing is learned from.

    Thresholds and temperature come from out-of-fold predictions on the training part, from those of models without one
    of the domains that ``tickets`` have, and from those on tickets that are kept for it; the figures in
    ``metrics.json`` come from the validation part, which took no part in either; the model itself is then fitted on all
    tickets. Where labels are described and too few tickets have one, nothing is held out, measured, or acted on.
    """
    sources = _Sources(tickets, eval_tickets, unlabelled, label_texts)
    # More threads would sum in another order, and so to other last bits on a machine with more cores; and the matrices
    # are too narrow to be faster for it.
    with threadpool_limits(limits=1):
        way = _described if sources.are_too_few else _measured
        return _files(way(sources, options, progress), sources, options, progress)


def _measured(sources: _Sources, options: TrainingOptions, progress: Progress) -> _Fitted:
    tickets, seed = sources.tickets, options.seed
    numbers = number_labels(tickets.labels, {} if sources.label_texts is None else sources.label_texts.heads)

    progress("keeping similar tickets together")
    parts = partition(tickets, share=options.validation_split, seed=seed, unlabelled=sources.unlabelled)
    taught = sources.for_encoder(options.encoder, progress)

    chosen = choose_recipe(
        tickets,
        numbers,
        parts,
        vectors=options.word_vectors,
        taught=taught,
        no_tickets=options.no_tickets,
        seed=seed,
        progress=progress,
    )
    fits = fit_all(chosen, tickets, parts, evaluate=options.evaluate, seed=seed, progress=progress)

    elsewhere = answers_elsewhere(chosen, tickets, parts, options.calibration, progress)
    decided = decide(fits, numbers, parts, tickets.given_labels(), options.aims, elsewhere)
    heads = calibrated_heads(fits, numbers, decided.heads)

    progress("measuring")
    measures = measure(tickets, parts, chosen, decided.heads, method=options.label_errors, seed=seed)
    return _Fitted(tickets, parts, chosen, fits, decided, heads, measures)


def _described(sources: _Sources, options: TrainingOptions, progress: Progress) -> _Fitted:
    label_texts = sources.label_texts or LabelTexts((), "")
    unlabelled = sources.unlabelled or (NOBODY if len(sources.tickets) else label_texts.as_unlabelled())
    tickets = with_unlabelled(sources.tickets, unlabelled)
    numbers = number_labels(tickets.labels, label_texts.heads)
    parts = nothing_held_out(tickets)
    taught = Taught.of(tickets, NOBODY, label_texts.texts, options.encoder, progress)

    progress("fitting on all tickets")
    chosen = choose_for_described(tickets, numbers, parts, taught, options.word_vectors)
    fits = fit_described(chosen, tickets)
    answers = answers_to_all(chosen, fits, tickets)
    decided = undecided(fits, numbers, answers, target_precision=options.aims.target_precision)
    heads = calibrated_heads(fits, numbers, decided.heads)
    n_unlabelled = 0 if sources.unlabelled is None else len(sources.unlabelled)
    measures = unmeasured(tickets, chosen, decided.heads, n_unlabelled=n_unlabelled)
    return _Fitted(tickets, parts, chosen, fits, decided, heads, measures)


def _files(fitted: _Fitted, sources: _Sources, options: TrainingOptions, progress: Progress) -> dict[str, bytes]:
    chosen, design = fitted.chosen, fitted.fits.design
    likeness = fitted.decided.likeness
    column = None if likeness is None else fitted.fits.ticket_column
    model = to_model_data(chosen.selection.features.features, design.fitted, fitted.heads, likeness, column)
    metrics = fitted.measures.metrics
    if sources.evaluation is not None:
        progress("evaluating on the separate file")
        classifier = TicketClassifier(model, {"version": options.version})
        separate = evaluate_separately(classifier, sources.evaluation, options.seed)
        shared = {"overlap": overlap_of_files(fitted.tickets, sources.evaluation)}
        metrics = {head: {**figures, "eval_data": {**separate[head], **shared}} for head, figures in metrics.items()}

    findings = Findings(
        tickets=fitted.tickets,
        partition=fitted.parts,
        model=model,
        unseen={head: of_head.unseen for head, of_head in fitted.decided.heads.items()},
        suspects=fitted.measures.suspects,
        metadata={
            **metadata_of(fitted.tickets, fitted.parts, metrics),
            **beside_tickets(
                sources.unlabelled,
                sources.label_texts,
                options.calibration,
                has_teacher=options.encoder is not None,
            ),
            "version": options.version,
            "trained_at": options.trained_at,
            "seed": options.seed,
            "target_precision": options.aims.target_precision,
            "share_unlike_training": dict(fitted.decided.shares_unlike),
            "vocabulary": {"n_terms": len(model.idf), "n_left_out": chosen.fitter.n_left_out(design)},
        },
        metrics=metrics,
        show_examples=options.show_examples,
    )
    return version_files(findings, chosen, design.fitted, fitted.heads, fitted.decided.heads)
