"""Send every ticket of a file through a running service and compare its answers with the labels in the file."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
from rich.console import Console

from app.tickets.columns import DEFAULT_TARGETS
from app.tickets.input_error import InputError, listed
from app.tickets.name_pairs import parse_column_map, parse_label_map
from scripts.lib.evaluation import EvaluatedRow, HeadAnswer, measure
from scripts.lib.evaluation_data import FIELDS, EvaluationFile, LabelledTicket
from scripts.lib.evaluation_report import TABLE_HEADS, Evaluation, json_line, markdown, print_table, summary_lines
from scripts.lib.progress import Report, show_progress
from scripts.lib.service_client import (
    Answer,
    ServiceClient,
    UnreachableError,
    add_service_arguments,
    display_url,
    labels_of_heads,
    open_client,
)

_OWN_OPTIONS = {"priority": "--fail-threshold-priority-acc", "department": "--fail-threshold-dept-acc"}

_EPILOG = """\
The file (CSV, JSON or Parquet) has a title, a description, or both, and a column of labels for each head that is to be
measured; a blank label counts for nothing. Columns are found in upper or lower case; --map says what others are called:
title, description, customer_email, id, or a head of the service. A label that differs from the service's in case or
spaces only is the same label, as it is in training; one that the service does not know counts as wrong and is listed.

A service limits requests: at the default of 100 a minute, 1,000 tickets take ten minutes, because this command waits as
the service asks. Start the service that is to be evaluated with a higher limit: RATE_LIMIT_REQUESTS=1000000.

Exit codes: 0 done; 1 a threshold was missed, a row failed, nothing could be measured, or the service does not answer
or asks for a key; 2 bad usage or input.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Every row in the order of the file, and the labels of each head as the service states them."""

    rows: tuple[EvaluatedRow, ...]
    known_labels: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest accuracy of a head that passes."""

    head: str
    accuracy: float


class KeyRefusedError(Exception):
    """The service does not accept the key, or the lack of one; the message is one line."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    errors = Console(stderr=True, highlight=False)
    try:
        return _evaluate(arguments, errors)
    except InputError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except (UnreachableError, KeyRefusedError, OSError) as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped; nothing was measured", style="yellow")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_service_arguments(parser)
    parser.add_argument(
        "--csv", metavar="FILE", type=Path, default=Path("data/mock_eval.csv"), help="default: %(default)s"
    )
    parser.add_argument("--map", metavar="NAME=COLUMN", action="append", default=[], help="title=Subject; repeatable")
    parser.add_argument(
        "--label-map", metavar="THEIRS=OURS,...", default="", help="labels to rename, such as urgent=Urgent"
    )
    parser.add_argument("--md-report", metavar="FILE", type=_new_file, help="write the evaluation as Markdown")
    parser.add_argument("--jsonl-output", metavar="FILE", type=_new_file, help="write a JSON object for each row")
    parser.add_argument(
        "--fail-threshold",
        metavar="HEAD=X",
        type=_threshold,
        action="append",
        default=[],
        help="fail when the accuracy of a head is below, 0 to 1; repeatable",
    )
    for head, option in _OWN_OPTIONS.items():
        parser.add_argument(
            option, metavar="X", type=_share, dest=f"least_{head}", help=f"the same as --fail-threshold {head}=X"
        )
    parser.add_argument("--concurrency", metavar="N", type=_positive, default=8, help="requests at a time, default 8")
    parser.add_argument(
        "--max-wait", metavar="SECONDS", type=_positive, default=600, help="longest wait of one row, default 600"
    )
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 0 to 1')
    return value


def _threshold(text: str) -> Threshold:
    head, _, share = text.rpartition("=")
    if not head.strip():
        raise argparse.ArgumentTypeError(f'"{text}" is not HEAD=X, such as priority=0.85')
    return Threshold(head.strip(), _share(share))


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1')
    return int(text)


def _new_file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f'"{text}" cannot be written: expected a file in a directory that exists')
    return path


def _evaluate(arguments: argparse.Namespace, errors: Console) -> int:
    column_map, label_map = parse_column_map(arguments.map), parse_label_map(arguments.label_map)
    given = {head: share for head in _OWN_OPTIONS if (share := getattr(arguments, f"least_{head}")) is not None}
    least = {**given, **{threshold.head: threshold.accuracy for threshold in arguments.fail_threshold}}
    source = EvaluationFile.read(arguments.csv, column_map)
    for head in least:
        if not source.has_column_of(head):
            raise _nothing_to_check(arguments.csv, head)
    run = asyncio.run(_run(arguments, source, label_map, least, errors))
    heads = dict.fromkeys([*TABLE_HEADS, *(head for row in run.rows for head in row.heads)])
    measured = (measure(head, run.rows, run.known_labels.get(head, ())) for head in heads)
    evaluation = Evaluation(
        source=str(arguments.csv),
        service=display_url(httpx.URL(arguments.base_url)),
        model_version=", ".join(sorted({row.model_version for row in run.rows} - {""})),
        finished_at=datetime.now(UTC),
        rows=run.rows,
        figures=tuple(figures for figures in measured if figures),
    )
    missed = list(_missed(evaluation, least))
    _publish(evaluation, missed, arguments)
    return 1 if missed or evaluation.failed_rows or not evaluation.figures else 0


def _nothing_to_check(path: Path, head: str) -> InputError:
    return InputError(f'{path}: no ticket has a label in a column "{head}" for --fail-threshold to check')


async def _run(
    arguments: argparse.Namespace,
    source: EvaluationFile,
    label_map: Mapping[str, str],
    least: Mapping[str, float],
    errors: Console,
) -> Run:
    def warn(policy: str) -> None:
        stated = f" ({policy})" if policy else ""
        errors.print(
            f"The service limits requests{stated}, so this run waits. To evaluate without waiting, start the service "
            "with a higher limit: RATE_LIMIT_REQUESTS=1000000",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )

    async with open_client(arguments.base_url, arguments.api_key, n_connections=arguments.concurrency) as client:
        service = ServiceClient(client, max_wait_seconds=arguments.max_wait, on_rate_limit=warn)
        known_labels = labels_of_heads(await service.send("GET", "/version"))
        # A service that does not state its heads is asked about those that are meant.
        meant = dict.fromkeys([*DEFAULT_TARGETS, *least, *(name for name in source.column_map if name not in FIELDS)])
        heads = tuple(known_labels or meant)
        for head in least:
            if head not in heads:
                raise InputError(f'--fail-threshold: the service has no head "{head}"; it has {listed(heads)}')
        tickets = source.tickets(heads, label_map)
        for head in least:
            if not any(head in ticket.labels for ticket in tickets):
                raise _nothing_to_check(arguments.csv, head)
        with show_progress(errors) as report:
            rows = await _classify_all(service, tickets, report, n_at_a_time=arguments.concurrency)
    return Run(rows, known_labels)


async def _classify_all(
    service: ServiceClient, tickets: Sequence[LabelledTicket], report: Report, *, n_at_a_time: int
) -> tuple[EvaluatedRow, ...]:
    rows: dict[int, EvaluatedRow] = {}
    waiting = iter(enumerate(tickets))

    async def work() -> None:
        for index, ticket in waiting:
            rows[index] = await _classify(service, ticket)
            report(len(rows), len(rows) / len(tickets))

    refused: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(n_at_a_time):
                group.create_task(work())
    except* KeyRefusedError as errors:
        refused = errors.exceptions[0]
    if refused:
        raise refused
    return tuple(rows[index] for index in range(len(tickets)))


async def _classify(service: ServiceClient, ticket: LabelledTicket) -> EvaluatedRow:
    row = EvaluatedRow(ticket.number, ticket.ticket_id, ticket.shown_title, ticket.labels)
    try:
        answer = await service.send("POST", "/classify", ticket.document)
    except UnreachableError as error:
        # One lost connection must not lose the other rows.
        return replace(row, problem=str(error))
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise KeyRefusedError(f"{answer.problem}; give a key with --api-key, or in the environment as API_KEY")
    problem, heads = answer.problem, {}
    if not problem:
        try:
            heads = _heads(answer)
        except (KeyError, TypeError, ValueError):
            heads = {}
        problem = "" if heads else "the answer has no predictions; is this the ticket classifier?"
    version = str(answer.body.get("model_version", "")) if heads else ""
    return replace(row, heads=heads, model_version=version, latency_ms=answer.latency_ms, problem=problem)


def _heads(answer: Answer) -> dict[str, HeadAnswer]:
    heads = {}
    predictions = answer.body.get("predictions")
    for name, head in predictions.items() if isinstance(predictions, dict) else ():
        alternatives = tuple(str(alternative["label"]) for alternative in head["alternatives"])
        label = str(head["label"])
        heads[str(name)] = HeadAnswer(label, float(head["confidence"]), str(head["decision"]), (label, *alternatives))
    return heads


def _missed(evaluation: Evaluation, least: Mapping[str, float]) -> Iterator[str]:
    accuracy = {figures.head: figures.accuracy for figures in evaluation.figures}
    for head, threshold in least.items():
        if head not in accuracy:
            yield f"failed: {head} could not be measured, and {threshold:g} is asked"
        elif accuracy[head] < threshold:
            yield f"failed: {head} accuracy {accuracy[head]:.4f} is below {threshold:g}"


def _publish(evaluation: Evaluation, missed: Sequence[str], arguments: argparse.Namespace) -> None:
    console = Console(highlight=False)
    print_table(console, evaluation.rows)
    if not evaluation.figures:
        console.print(
            "failed: nothing could be measured: no labels in the file for a head of the service", soft_wrap=True
        )
    for line in (*summary_lines(evaluation), *missed):
        style = "red" if line.startswith("failed") else ""
        console.print(line, style=style, markup=False, soft_wrap=True)
    if arguments.md_report:
        arguments.md_report.write_text(markdown(evaluation), encoding="utf-8")
    if arguments.jsonl_output:
        arguments.jsonl_output.write_text("".join(map(json_line, evaluation.rows)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
