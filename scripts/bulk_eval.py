"""Send every ticket of a file through a running service and compare its answers with the labels in the file."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
from rich.console import Console

from scripts.lib.evaluation import EvaluatedRow, HeadAnswer, measure
from scripts.lib.evaluation_report import TABLE_HEADS, Evaluation, json_line, markdown, print_table, summary_lines
from scripts.lib.progress import Report, show_progress
from scripts.lib.service_client import (
    Answer,
    ServiceClient,
    UnreachableError,
    add_service_arguments,
    display_url,
    open_client,
)
from scripts.lib.text_encoding import TicketFileError
from scripts.lib.ticket_files import TicketFile, as_text, open_tickets, parse_map

_EMAIL_FIELD = "customer_email"
_TICKETS_IN_CHUNK = 1024
_SHOWN_CHARACTERS = 80
_THRESHOLDS = {"priority": "--fail-threshold-priority-acc", "department": "--fail-threshold-dept-acc"}

_EPILOG = """\
The file (CSV, JSON lines or Parquet, by suffix) has a title, a description, or both, and a column of labels for each
head that is to be measured; a blank label counts for nothing. A label that differs from the service's in case or spaces
only is the same label, as it is in training; one that the service does not know counts as wrong and is listed.

A service limits requests: at the default of 100 a minute, 1,000 tickets take ten minutes, because this command waits as
the service asks. Start the service that is to be evaluated with a higher limit: RATE_LIMIT_REQUESTS=1000000.

Exit codes: 0 done; 1 a threshold was missed, a row failed, or the service does not answer; 2 bad usage or input.
"""


@dataclass(frozen=True, slots=True)
class LabelledTicket:
    """One row of the file: what is sent, and the labels that are not blank."""

    number: int
    document: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def shown_title(self) -> str:
        """What people know the ticket by: the beginning of its description where it has no title."""
        return self.document["title"].strip() or self.document["description"].strip()[:_SHOWN_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Run:
    """Every row in the order of the file, and the labels of each head as the service states them."""

    rows: tuple[EvaluatedRow, ...]
    known_labels: Mapping[str, Sequence[str]]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    errors = Console(stderr=True, highlight=False)
    try:
        return _evaluate(arguments, errors)
    except TicketFileError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except (UnreachableError, OSError) as error:
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
    parser.add_argument("--md-report", metavar="FILE", type=_new_file, help="write the evaluation as Markdown")
    parser.add_argument("--jsonl-output", metavar="FILE", type=_new_file, help="write a JSON object for each row")
    for head, option in _THRESHOLDS.items():
        parser.add_argument(
            option, metavar="X", type=_share, dest=f"least_{head}", help=f"fail when {head} accuracy is below, 0 to 1"
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
    column_map = parse_map(arguments.map)
    source = open_tickets(arguments.csv, column_map)
    tickets = list(_labelled_tickets(source, column_map))
    least = {head: share for head in _THRESHOLDS if (share := getattr(arguments, f"least_{head}")) is not None}
    _check_labels(source, tickets, least)
    with show_progress(errors) as report:
        run = asyncio.run(_classify_all(arguments, tickets, report, errors))
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
    return 1 if missed or evaluation.failed_rows else 0


def _labelled_tickets(source: TicketFile, column_map: Mapping[str, str]) -> Iterator[LabelledTicket]:
    ours = {theirs: name for name, theirs in column_map.items()}
    texts = set(source.text_columns.values())
    for chunk in source.chunks(_TICKETS_IN_CHUNK):
        records = chunk.records if isinstance(chunk.records, list) else chunk.records.to_pylist()
        for i, record in enumerate(records):
            values: Mapping[str, object] = (
                record if isinstance(record, dict) else dict(zip(source.columns, record, strict=True))
            )
            others = {ours.get(name, name): as_text(value) for name, value in values.items() if name not in texts}
            document = {"title": chunk.titles[i], "description": chunk.descriptions[i]}
            if email := others.pop(_EMAIL_FIELD, "").strip():
                document[_EMAIL_FIELD] = email.encode("utf-8", "replace").decode()
            labels = {name: label.strip() for name, label in others.items() if label.strip()}
            yield LabelledTicket(chunk.first_row + i, document, labels)


def _check_labels(source: TicketFile, tickets: Sequence[LabelledTicket], least: Mapping[str, float]) -> None:
    if not tickets:
        raise TicketFileError(f"{source.path} has a header and no tickets")
    given = {name for ticket in tickets for name in ticket.labels}
    for head in least:
        if head not in given:
            option = _THRESHOLDS[head]
            raise TicketFileError(f'{source.path}: no ticket has a label in a column "{head}" for {option} to check')


async def _classify_all(
    arguments: argparse.Namespace, tickets: Sequence[LabelledTicket], report: Report, errors: Console
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

    rows: dict[int, EvaluatedRow] = {}
    waiting = iter(enumerate(tickets))
    n_connections: int = arguments.concurrency
    async with open_client(arguments.base_url, arguments.api_key, n_connections=n_connections) as client:
        service = ServiceClient(client, max_wait_seconds=arguments.max_wait, on_rate_limit=warn)
        known_labels = _known_labels(await service.send("GET", "/version"))

        async def work() -> None:
            for index, ticket in waiting:
                rows[index] = await _classify(service, ticket)
                report(len(rows), len(rows) / len(tickets))

        async with asyncio.TaskGroup() as group:
            for _ in range(n_connections):
                group.create_task(work())
    return Run(tuple(rows[index] for index in range(len(tickets))), known_labels)


def _known_labels(version: Answer) -> dict[str, tuple[str, ...]]:
    metadata = version.body.get("model_metadata")
    distributions = metadata.get("label_distributions") if isinstance(metadata, dict) else None
    if not isinstance(distributions, dict):
        return {}
    return {str(head): tuple(map(str, counts)) for head, counts in distributions.items()}


async def _classify(service: ServiceClient, ticket: LabelledTicket) -> EvaluatedRow:
    try:
        answer = await service.send("POST", "/classify", ticket.document)
    except UnreachableError as error:
        # One lost connection must not lose the other rows.
        return EvaluatedRow(ticket.number, ticket.shown_title, ticket.labels, {}, "", 0.0, str(error))
    problem, heads = answer.problem, {}
    if not problem:
        try:
            heads = _heads(answer)
        except (KeyError, TypeError, ValueError):
            heads = {}
        problem = "" if heads else "the answer has no predictions; is this the ticket classifier?"
    version = str(answer.body.get("model_version", "")) if heads else ""
    return EvaluatedRow(ticket.number, ticket.shown_title, ticket.labels, heads, version, answer.latency_ms, problem)


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
        console.print("nothing to measure: no labels in the file for a head of the service", soft_wrap=True)
    for line in (*summary_lines(evaluation), *missed):
        style = "red" if line.startswith("failed") else ""
        console.print(line, style=style, markup=False, soft_wrap=True)
    if arguments.md_report:
        arguments.md_report.write_text(markdown(evaluation), encoding="utf-8")
    if arguments.jsonl_output:
        arguments.jsonl_output.write_text("".join(map(json_line, evaluation.rows)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
