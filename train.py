"""Train a model version from a team's own tickets, or from generated ones: ``python train.py --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.config import Settings, load_settings
from app.models.artifacts import write_version
from app.models.versions import VersionName
from app.tickets.columns import DEFAULT_TARGETS
from app.tickets.input_error import InputError
from app.tickets.name_pairs import TEXT_FIELDS, check_fields, parse_column_map, parse_label_map

if TYPE_CHECKING:
    from app.training.intake.judgements import JudgedLabel

EXIT_DONE, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2


def parse_arguments(argv: Sequence[str] | None, settings: Settings) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train on labelled tickets and write models/vX.Y.Z. Without --data: on generated tickets.",
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="CSV, JSON (an array, or an object a line) or Parquet"
    )
    parser.add_argument(
        "--feedback",
        nargs="?",
        const=settings.store_url,
        metavar="STORE_URL",
        help="add the tickets that people judged, the latest judgement of each; without --data: train on these alone "
        "(default of the URL: STORE_URL)",
    )
    parser.add_argument(
        "--unlabelled",
        type=Path,
        metavar="FILE",
        help="tickets that nobody labelled, to learn from beside few that somebody did: a sentence encoder labels "
        "them, where cross-validation says that this pays (needs requirements-teacher.txt)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="TOML that describes the labels of each head, to learn from beside few labelled tickets, or none",
    )
    parser.add_argument("--rows", type=_positive, metavar="N", help="how many tickets to generate without --data")
    parser.add_argument(
        "--version",
        type=_version,
        default=VersionName.parse(settings.model_version),
        metavar="X.Y.Z",
        help="version to write (default: MODEL_VERSION, %(default)s)",
    )
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(settings.models_base_dir),
        metavar="DIR",
        help="where versions live (default: MODELS_BASE_DIR, %(default)s)",
    )
    parser.add_argument(
        "--targets",
        type=_names,
        metavar="COLUMN,...",
        help="columns to predict (default: priority and department, those that the file has)",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="NAME=COLUMN",
        help="the file's name for title, description, id or a target, such as title=Subject; may be repeated",
    )
    parser.add_argument(
        "--label-map",
        default="",
        metavar="THEIRS=OURS,...",
        help="labels to rename, such as urgent=Urgent,normal=Medium",
    )
    parser.add_argument("--eval-data", type=Path, metavar="FILE", help="tickets to evaluate on and never to train on")
    parser.add_argument(
        "--target-precision",
        type=_share,
        default=0.95,
        metavar="P",
        help="how often an answer that is acted on without a person must be right (default: %(default)s)",
    )
    parser.add_argument(
        "--costs",
        type=Path,
        metavar="FILE",
        help="CSV with head, true, predicted and cost: thresholds at the lowest cost instead (see docs/model.md)",
    )
    parser.add_argument(
        "--group",
        metavar="COLUMN",
        help='tickets that belong together, such as those of one incident or customer (default: "situation", if there)',
    )
    parser.add_argument(
        "--domain",
        metavar="COLUMN",
        help="where tickets are from, such as an office, a product or a month: each value is left out in turn, and "
        "thresholds have to keep their promise there, too",
    )
    parser.add_argument(
        "--calibrate-on",
        type=Path,
        metavar="FILE",
        help="labelled tickets of other people, for temperature and thresholds alone and never to train on "
        "(default without --data: data/calibration_tickets.csv)",
    )
    parser.add_argument(
        "--skip-blank-labels",
        action="store_true",
        help="leave out tickets without any label, which are an error otherwise; one label of several is enough",
    )
    parser.add_argument("--no-examples", action="store_true", help="keep ticket text out of the report and the lists")
    parser.add_argument(
        "--label-errors",
        choices=("builtin", "cleanlab"),
        default="builtin",
        help="what finds likely label errors; cleanlab is a package of its own (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace the version if it exists")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    settings = load_settings()
    arguments = parse_arguments(argv, settings)
    directory = arguments.models_dir / arguments.version.directory_name
    if directory.exists() and not arguments.force:
        return _refuse(f"{directory} exists: choose another --version, or replace it with --force")
    try:
        arguments.map = parse_column_map(arguments.map)
        heads = arguments.targets or DEFAULT_TARGETS
        check_fields(arguments.map, (*TEXT_FIELDS, "id", *heads), heads=", or a head of --targets")
        arguments.label_map = parse_label_map(arguments.label_map)
    except InputError as error:
        return _refuse(str(error))
    # The heavy libraries are imported when the arguments are known to be right, so that --help and mistakes are quick.
    from app.training.command import run  # noqa: PLC0415
    from app.training.files.version_files import where_words_are  # noqa: PLC0415

    try:
        judged = None if arguments.feedback is None else _judged_labels(arguments.feedback)
        files = run(arguments, settings, trained_at=_now(), judged=judged)
        write_version(directory, files, force=arguments.force)
    except (InputError, FileExistsError) as error:
        return _refuse(str(error))
    except ConnectionError as error:
        sys.stderr.write(f"train.py: {error}\n")
        return EXIT_FAILED
    except OSError as error:
        sys.stderr.write(f"train.py: {directory} was not written: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"wrote {directory}\n{where_words_are(files, show_examples=not arguments.no_examples)}\n")
    return EXIT_DONE


def _judged_labels(store_url: str) -> list[JudgedLabel]:
    """Return what people said of tickets whose text is kept, the latest last.

    Raise ``InputError`` when there is no store, or nothing in it, and ``ConnectionError`` when it does not answer.
    """
    # Only who asks for it needs the packages of the store.
    from app.store.database import StoreUnavailableError  # noqa: PLC0415
    from app.store.existing import NoStoreError, existing_store  # noqa: PLC0415
    from app.store.judged_tickets import read_judged_tickets  # noqa: PLC0415
    from app.training.intake.judgements import JudgedLabel  # noqa: PLC0415

    try:
        with existing_store(store_url) as database:
            judged = [
                (judgement.feedback_id, JudgedLabel(t.ticket_id or "", t.title, t.description, head, judgement.label))
                for t in read_judged_tickets(database)
                for head, judgement in t.judgements.items()
            ]
    except NoStoreError as error:
        raise InputError(f"--feedback: {error}") from error
    except StoreUnavailableError as error:
        raise ConnectionError(f"--feedback: {error}") from error
    if not judged:
        raise InputError(
            "--feedback: the store has no judged ticket with its text: judge some under /review, "
            "with STORE_TEXT review or all"
        )
    return [label for _, label in sorted(judged, key=lambda pair: pair[0])]


def _refuse(reason: str) -> int:
    sys.stderr.write(f"train.py: {' '.join(reason.splitlines())}\n")
    return EXIT_BAD_INPUT


def _now() -> str:
    # SOURCE_DATE_EPOCH is what reproducible builds set (https://reproducible-builds.org/specs/source-date-epoch/).
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    return moment.isoformat(timespec="seconds")


def _version(text: str) -> VersionName:
    try:
        return VersionName.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number of 1 or more')
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number between 0 and 1, such as 0.95')
    return share


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f'"{text}" is not a list of different names, such as priority,department')
    return names


if __name__ == "__main__":
    sys.exit(main())
