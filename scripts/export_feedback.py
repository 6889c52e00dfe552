"""Write what people judged into a file: CSV, JSON lines, or tasks for Label Studio.

    python scripts/export_feedback.py -o judged.csv
    python scripts/export_feedback.py postgresql://user@host/name -o tasks.json

Every judged ticket whose text is kept is in it once, with the latest judgement of each head and what the service had
answered. The format goes by the suffix: .csv, .jsonl or .ndjson, and .json for Label Studio.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import load_settings
from app.store.database import StoreUnavailableError
from app.store.existing import NoStoreError, existing_store
from app.store.judged_tickets import read_judged_tickets
from scripts.lib.judged_files import FORMATS, FORMATS_BY_SUFFIX, encoded

_EPILOG = """\
CSV has an apostrophe before each cell that a spreadsheet would run as a formula; the other formats have texts as they
are. The tasks of Label Studio go with a labelling configuration of a Text named "text" (value="$text") and one Choices
for each head, named like it (toName="text").

The file holds tickets: it is readable for its owner only. Exit codes: 0 done, 1 the store does not answer or the file
could not be written, 2 bad usage, no store, or nothing in it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    output: Path = arguments.output
    wanted = arguments.format or FORMATS_BY_SUFFIX.get(output.suffix.lower())
    if wanted is None:
        parser.error(f'"{output}" has no suffix of a format: name it .csv, .jsonl or .json, or give --format')
    if not output.parent.is_dir() or output.is_dir():
        parser.error(f'"{output}" cannot be written: expected a file in a directory that exists')
    try:
        with existing_store(arguments.store_url) as database:
            tickets = list(read_judged_tickets(database))
        if not tickets:
            return _fail("the store has no judged ticket with its text, so nothing was written", code=2)
        _write(output, encoded(tickets, wanted))
    except NoStoreError as error:
        return _fail(str(error), code=2)
    except (StoreUnavailableError, OSError) as error:
        return _fail(str(error), code=1)
    print(f"wrote {len(tickets):,} judged tickets to {output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export_feedback.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "store_url", nargs="?", metavar="STORE_URL", default=load_settings().store_url, help="default: STORE_URL"
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="replaced when it exists")
    parser.add_argument("--format", choices=FORMATS, help="whatever the suffix says")
    return parser


def _write(output: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    part = output.with_name(f".{output.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
    part.replace(output)


def _fail(reason: str, *, code: int) -> int:
    sys.stderr.write(f"export_feedback.py: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
