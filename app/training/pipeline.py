"""From tickets to the files of a version, a line of values: each room takes what those before it made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from threadpoolctl import threadpool_limits

from app.models.classifier import TicketClassifier
from app.training.files.version_files import version_files
from app.training.fitting.fit import to_model_data
from app.training.fitting.fits import Progress, choose_recipe, fit_all
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.label_numbers import number_labels
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import Unlabelled
from app.training.measuring.label_errors import Method
from app.training.measuring.measure import measure
from app.training.measuring.separate_evaluation import evaluate_separately
from app.training.report.findings import Findings
from app.training.report.metadata import metadata_of
from app.training.splitting.overlap import overlap_of_files, partition
from app.training.teaching.encoder import SentenceEncoder
from app.training.teaching.taught import Taught
from app.training.thresholds.decide import Aims, calibrated_heads, decide


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
    encoder: SentenceEncoder | None = None
    show_examples: bool = True
    label_errors: Method = "builtin"


def train(
    tickets: Tickets,
    options: TrainingOptions,
    *,
    eval_tickets: Tickets | None = None,
    unlabelled: Unlabelled | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, bytes]:
    """Return the files of a model version by name, all but the manifest.

    ``unlabelled`` tickets are for the encoder of ``options`` to teach from; nothing is measured on them.

    Thresholds and temperature come from out-of-fold predictions on the training part, the figures in ``metrics.json``
    from the validation part, which took no part in either; the model itself is then fitted on all tickets.
    """
    # More threads would sum in another order, and so to other last bits on a machine with more cores; and the matrices
    # are too narrow to be faster for it.
    with threadpool_limits(limits=1):
        return _train(tickets, options, eval_tickets, unlabelled, progress)


def _train(
    tickets: Tickets,
    options: TrainingOptions,
    eval_tickets: Tickets | None,
    unlabelled: Unlabelled | None,
    progress: Progress,
) -> dict[str, bytes]:
    seed = options.seed
    numbers = number_labels(tickets.labels)

    progress("keeping similar tickets together")
    parts = partition(tickets, share=options.validation_split, seed=seed, unlabelled=unlabelled)
    taught = None
    if unlabelled is not None and options.encoder is not None:
        taught = Taught.of(tickets, unlabelled, options.encoder, progress)

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

    decided = decide(fits, numbers, parts.split, tickets.given_labels(), options.aims)
    decisions, likeness = decided.heads, decided.likeness
    heads = calibrated_heads(fits, numbers, decisions)
    column = None if likeness is None else fits.ticket_column
    model = to_model_data(chosen.selection.features.features, fits.design.fitted, heads, likeness, column)

    progress("measuring")
    measures = measure(tickets, parts, chosen, decisions, method=options.label_errors, seed=seed)
    metrics = measures.metrics
    if eval_tickets is not None:
        progress("evaluating on the separate file")
        separate = evaluate_separately(TicketClassifier(model, {"version": options.version}), eval_tickets, seed)
        shared = {"overlap": overlap_of_files(tickets, eval_tickets)}
        metrics = {head: {**figures, "eval_data": {**separate[head], **shared}} for head, figures in metrics.items()}

    findings = Findings(
        tickets=tickets,
        partition=parts,
        model=model,
        unseen={head: of_head.unseen for head, of_head in decisions.items()},
        suspects=measures.suspects,
        metadata={
            **metadata_of(tickets, parts, metrics, unlabelled),
            "version": options.version,
            "trained_at": options.trained_at,
            "seed": seed,
            "target_precision": options.aims.target_precision,
            "share_unlike_training": dict(decided.shares_unlike),
            "vocabulary": {"n_terms": len(model.idf), "n_left_out": chosen.fitter.n_left_out(fits.design)},
        },
        metrics=metrics,
        show_examples=options.show_examples,
    )
    return version_files(findings, chosen, fits.design.fitted, heads, decisions)
