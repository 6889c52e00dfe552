"""Classify a file of tickets offline, on all cores, in constant memory; take the work up again after a kill."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console

from app.config import load_settings
from app.models.artifacts import MANIFEST_NAME
from app.models.label_shares import Shares
from app.models.versions import VersionName
from app.serving.registry import ModelRegistry
from app.tickets.columns import TextColumns, choose_text_columns
from app.tickets.file_format import FileFormat
from app.tickets.input_error import InputError, quoted
from app.tickets.name_pairs import TEXT_FIELDS, check_fields, parse_column_map
from app.tickets.table import read_table
from app.tickets.writing import TableWriter
from scripts.lib.classify_processes import Job, WorkerError, classify_in_order
from scripts.lib.prediction_columns import prediction_columns
from scripts.lib.progress import show_progress
from scripts.lib.resumable_output import ResumableOutput, ResumeError
from scripts.lib.shares_of_file import estimated_shares

# A part of the output's identity: confidences are computed chunk by chunk, and must not depend on where a run began.
_TICKETS_IN_CHUNK = 1024
_NOWHERE = logging.NullHandler()

_EPILOG = """\
IN is CSV (UTF-8 or Windows-1252, any usual delimiter), JSON (an array, or an object a line) or Parquet. OUT is written
by its suffix: .parquet, .jsonl or .ndjson, anything else is CSV (UTF-8, the delimiter of IN). The output has the
input's columns, then for every head of the model predicted_<head>, <head>_confidence and <head>_decision, then
needs_review and model_version; rows keep their order.

The output appears whole when everything is done; until then it is .OUT.part beside it. After a kill, the same command
with --resume goes on where the part file ends, and gives the same bytes as a run that was never stopped.

Exit codes: 0 done, 1 the work failed, 2 bad usage or input.
"""


def main(argv: Sequence[str] | None = None) -> int:
    # What the registry would log is said here, in one line.
    logging.getLogger("app").addHandler(_NOWHERE)
    arguments = _parser().parse_args(argv)
    console = Console(stderr=True, highlight=False)
    try:
        return _classify(arguments, console)
    except (InputError, UsageError, ResumeError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    except (WorkerError, ModelError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    except OSError as error:
        console.print(f"{error.filename or arguments.output}: {error.strerror}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped; the same command with --resume goes on from here", style="yellow")
        return 1


class UsageError(Exception):
    """Arguments that contradict each other or the file system."""


@dataclass(frozen=True, slots=True)
class Model:
    """The version that classifies, adapted to the shares of labels that the service is adapted to."""

    directory: Path
    version: str
    heads: tuple[str, ...]
    shares: Shares


class ModelError(Exception):
    """No version of the model can be loaded."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", metavar="IN", type=Path, help="tickets with a title, a description, or both")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="replaced when it exists")
    parser.add_argument("--models-dir", metavar="DIR", type=Path, help="default: MODELS_BASE_DIR, else models")
    parser.add_argument("--version", metavar="X.Y.Z", type=_version, help="default: as the service chooses")
    parser.add_argument(
        "--map",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="the file's name for title or description, such as title=Subject; repeatable",
    )
    parser.add_argument(
        "--excel",
        action="store_true",
        help="CSV for Excel: the mark by which it knows UTF-8, and an apostrophe before what it would run as a formula",
    )
    parser.add_argument(
        "--adapt-to-mix",
        action="store_true",
        help="estimate how often each label is due in IN, and classify as for tickets in these shares",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument(
        "--checkpoint-seconds", metavar="S", type=_seconds, default=1.0, help="work that a kill may cost, default 1"
    )
    parser.add_argument("--workers", metavar="N", type=_positive, default=_n_cores(), help="default: one for each core")
    return parser


def _version(text: str) -> str:
    try:
        return str(VersionName.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1')
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds')
    return value


def _n_cores() -> int:
    # A container may have fewer than the machine.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _classify(arguments: argparse.Namespace, console: Console) -> int:
    output: Path = arguments.output
    if not output.parent.is_dir() or output.is_dir():
        raise UsageError(f"{output} cannot be written: expected a file name in a directory that exists")
    column_map = parse_column_map(arguments.map)
    check_fields(column_map, TEXT_FIELDS)
    source = read_table(arguments.input)
    text_columns = choose_text_columns(source, column_map)
    if output.exists() and output.samefile(arguments.input):
        raise UsageError(f"{output} is the input too; choose another name for the output")
    model = _find_model(arguments, console)
    writer = TableWriter.choose(source, output, prediction_columns(model.heads), for_excel=arguments.excel)
    console.print(_reading(text_columns), markup=False, soft_wrap=True)
    job = Job(model.directory, text_columns, writer, model.shares)
    if arguments.adapt_to_mix:
        job = replace(job, shares={})
        job = replace(job, shares=estimated_shares(source.chunks(_TICKETS_IN_CHUNK), job))
        console.print(f"estimated shares of labels: {json.dumps(_rounded(job.shares))}", markup=False, soft_wrap=True)
    identity = {
        "input": source.sha256,
        "columns": asdict(text_columns),
        "format": f"{writer.format}{' for Excel' if arguments.excel else ''}",
        "model": hashlib.sha256((model.directory / MANIFEST_NAME).read_bytes()).hexdigest(),
        "chunk size": _TICKETS_IN_CHUNK,
        "shares of labels": job.shares,
    }
    with ResumableOutput(
        output, identity, resume=arguments.resume, checkpoint_seconds=arguments.checkpoint_seconds
    ) as part:
        n_before = part.progress.n_tickets
        if arguments.resume:
            console.print(f"going on after {n_before:,} tickets")
        started_at = time.monotonic()
        try:
            n_tickets = _write(part, job, arguments.workers, console)
        except InputError:
            # The file has to change, and then nothing of this can be used.
            part.discard()
            raise
        part.finish(writer.finish if writer.format is FileFormat.PARQUET else None)
    seconds = time.monotonic() - started_at
    console.print(
        f"{n_before + n_tickets:,} tickets -> {output}, model {model.version}, "
        f"{n_tickets:,} of them now in {seconds:.1f} s ({n_tickets / seconds:,.0f}/s)",
        soft_wrap=True,
    )
    return 0


def _rounded(shares: Shares) -> dict[str, dict[str, float]]:
    return {head: {label: round(share, 4) for label, share in of_head.items()} for head, of_head in shares.items()}


def _reading(columns: TextColumns) -> str:
    found = (f"{'none' if name is None else quoted(name)} as {field}" for field, name in asdict(columns).items())
    return f"reading {', '.join(found)}"


def _write(part: ResumableOutput, job: Job, n_processes: int, console: Console) -> int:
    if part.progress.n_bytes == 0:
        part.append(job.writer.start(), n_tickets=0)
    n_tickets = 0
    chunks = job.writer.source.chunks(_TICKETS_IN_CHUNK, skip=part.progress.n_tickets)
    with show_progress(console) as report, closing(classify_in_order(chunks, job, n_processes)) as encoded_chunks:
        for encoded in encoded_chunks:
            part.append(encoded.content, n_tickets=encoded.n_tickets)
            n_tickets += encoded.n_tickets
            report(n_tickets, encoded.share_read)
    return n_tickets


def _find_model(arguments: argparse.Namespace, console: Console) -> Model:
    settings = load_settings()
    models_dir = arguments.models_dir or Path(settings.models_base_dir)
    shares = settings.label_shares
    registry = ModelRegistry(models_dir, pinned_version=arguments.version or settings.pinned_version, shares=shares)
    state = registry.load()
    if state.model is None:
        raise ModelError(f"no model can be loaded: {state.reason}")
    if state.degraded:
        console.print(f"classifying with {state.model.version}, because {state.reason}", style="yellow", soft_wrap=True)
    directory = models_dir / VersionName.parse(state.model.version).directory_name
    return Model(directory, state.model.version, state.model.classifier.heads, shares)


if __name__ == "__main__":
    sys.exit(main())
