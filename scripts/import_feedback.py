"""Send a helpdesk's export as feedback to a running service: what its tickets were in the end.

    python scripts/import_feedback.py closed.csv --map id=Key --map priority=Priority --map department=Team

The file (CSV, JSON, JSON lines or Parquet) has a column with the ids that the service was given as ticket_id, or the
texts, or both, and one for each head that is judged. With texts, tickets that were never classified are taken, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from app.tickets.input_error import InputError
from app.tickets.name_pairs import parse_column_map, parse_label_map
from scripts.lib.feedback_rows import Batch, FeedbackFile, FeedbackRow, batches
from scripts.lib.progress import show_progress
from scripts.lib.service_client import (
    Answer,
    ServiceClient,
    UnreachableError,
    add_service_arguments,
    labels_of_heads,
    open_client,
)

_MAX_WAIT_SECONDS = 3600.0

_EPILOG = """\
Rows are sent in their order, so that of several rows of a ticket the last one counts; a blank label says nothing. A
label that differs from the service's in case or spaces only is that label; one that the model does not have is refused,
unless --allow-new-labels says that the next model shall learn it.

The same file can be sent again, after an interruption or by mistake: what is kept already is not kept twice.

Exit codes: 0 every row is kept or says nothing new; 1 a row was refused, or the service did not answer as it should;
2 bad usage or input.
"""


class RefusedError(Exception):
    """The service does not take a batch; the message is one line."""


class _Outcomes:
    """How many rows had which outcome, and the first row of each with what the service said of it."""

    def __init__(self) -> None:
        self.n_rows: Counter[str] = Counter()
        self.n_refused = 0
        self._first: dict[str, str] = {}

    def count(self, outcome: str, row_number: int, detail: str = "") -> None:
        self.n_rows[outcome] += 1
        self._first.setdefault(outcome, f"row {row_number}{f': {detail}' if detail else ''}")

    def take(self, batch: Batch, results: Sequence[Mapping[str, object]]) -> None:
        for number, result in zip(batch.numbers, results, strict=True):
            if "error" in result:
                self.n_refused += 1
                self.count(f"refused: {result['error']}", number, str(result.get("detail", "")))
            elif result.get("prediction_id") is None:
                self.count("kept: never classified here", number)
            else:
                agreed = result.get("agreed")
                is_right = isinstance(agreed, dict) and all(agreed.values())
                self.count("kept: the answer was right" if is_right else "kept: the answer was wrong", number)

    def table(self) -> Table:
        table = Table("outcome", "rows", "first")
        table.columns[1].justify = "right"
        for outcome, n in self.n_rows.most_common():
            table.add_row(outcome, f"{n:,}", self._first[outcome])
        return table


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    errors = Console(stderr=True, highlight=False)
    if arguments.api_key_env is not None:
        arguments.api_key = os.environ.get(arguments.api_key_env)
        if not arguments.api_key:
            parser.error(f'--api-key-env: the environment has no key in "{arguments.api_key_env}"')
    outcomes = _Outcomes()
    try:
        asyncio.run(_send(arguments, outcomes, errors))
    except InputError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except (UnreachableError, RefusedError, OSError) as error:
        errors.print(f"{error}; send the file again to go on", style="red", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("stopped; send the file again to go on", style="yellow")
        return 1
    finally:
        if outcomes.n_rows:
            Console(highlight=False).print(outcomes.table())
    return 1 if outcomes.n_refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="import_feedback.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="what the helpdesk exports")
    add_service_arguments(parser)
    parser.add_argument("--api-key-env", metavar="NAME", help="the variable of the environment that has the key")
    parser.add_argument(
        "--map",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="the file's name for id, title, description or a head of the service, such as id=Key; repeatable",
    )
    parser.add_argument(
        "--label-map", metavar="THEIRS=OURS,...", default="", help="labels to rename, such as urgent=Urgent"
    )
    parser.add_argument(
        "--source",
        choices=("helpdesk", "review", "api"),
        default="helpdesk",
        help="who says so (default: %(default)s); only review and api count for promises",
    )
    parser.add_argument("--allow-new-labels", action="store_true", help="take labels that the model does not have")
    return parser


async def _send(arguments: argparse.Namespace, outcomes: _Outcomes, errors: Console) -> None:
    column_map, label_map = parse_column_map(arguments.map), parse_label_map(arguments.label_map)
    constants = {"source": arguments.source}
    if arguments.allow_new_labels:
        constants["allow_new_labels"] = True

    def wait_said(policy: str) -> None:
        stated = f" ({policy})" if policy else ""
        errors.print(f"The service limits requests{stated}, so this waits.", style="yellow", markup=False)

    async with open_client(arguments.base_url, arguments.api_key, n_connections=1) as client:
        service = ServiceClient(client, max_wait_seconds=_MAX_WAIT_SECONDS, on_rate_limit=wait_said)
        heads = labels_of_heads(await service.send("GET", "/version"))
        if not heads:
            raise RefusedError("the service states no heads; is this the ticket classifier, with a model?")
        source = FeedbackFile.read(arguments.file, column_map, label_map, heads)
        n_rows = sum(1 for _ in source.rows(constants))
        with show_progress(errors) as report:
            for batch in batches(_counted(source.rows(constants), outcomes)):
                outcomes.take(batch, _results(await _posted(service, batch), batch))
                n_done = outcomes.n_rows.total()
                report(n_done, n_done / n_rows)


def _counted(rows: Iterator[FeedbackRow], outcomes: _Outcomes) -> Iterator[FeedbackRow]:
    for row in rows:
        if row.document is None:
            outcomes.count(f"left out: {row.skipped}", row.number)
        yield row


async def _posted(service: ServiceClient, batch: Batch) -> Answer:
    headers = {"Idempotency-Key": batch.idempotency_key}
    return await service.send("POST", "/feedback/batch", batch.document, headers=headers)


def _results(answer: Answer, batch: Batch) -> list[Mapping[str, object]]:
    if answer.problem:
        raise RefusedError(f"rows from {batch.numbers[0]} on were not kept: {answer.problem}")
    results = answer.body.get("results")
    if not isinstance(results, list) or len(results) != len(batch.numbers):
        raise RefusedError("the answer has not one result for each row; is this the ticket classifier?")
    return results


if __name__ == "__main__":
    sys.exit(main())
