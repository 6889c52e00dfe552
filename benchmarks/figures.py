"""``python -m benchmarks.figures``: the blocks of the pages that are made of stored results.

A block stands between ``<!-- figures:NAME -->`` and ``<!-- figures:end -->``; what is between them comes from
``benchmarks/results`` and from ``metrics.json`` of the default model, and ``--write`` makes it anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT
from benchmarks.results import RESULTS, Origin, Result, read_result
from benchmarks.store_tables import store_faults_table, store_kills_table
from benchmarks.tables import (
    choices_table,
    default_model_table,
    figure_table,
    first_day_table,
    load_table,
    overload_table,
    promised_precision_table,
    promises_table,
    published_table,
    quality_table,
    review_order_table,
    soak_table,
)

PAGES = (
    "README.md",
    "docs/explanations.md",
    "docs/feedback.md",
    "docs/model.md",
    "docs/operations.md",
    "docs/performance.md",
    "docs/security.md",
    "load_test.md",
)
BLOCK = re.compile(r"(<!-- figures:(?!end)([\w-]+) -->\n).*?(<!-- figures:end -->)", re.DOTALL)
_DEFAULT_MODEL = ROOT / "models" / "v1.0.0" / "metrics.json"
# Of these, the beginnings of the figures that a newcomer wants to know.
_SUMMARY = {
    "in_process": (
        "one ticket of",
        "one ticket: times faster than the joblib parts",
        "a ticket in a batch",
        "batch: times faster than the joblib parts",
        "the worst of",
    ),
    "http_path": ("/classify: the service, processor", "/classify: service / FastAPI echo"),
    "cold_start": ("process start",),
    "memory": ("memory of one worker", "one more worker"),
    "bulk": ("bulk_classify of", "bulk: times the joblib parts' rate in one process", "peak memory, times"),
}
_SETS = ("it-tickets", "banking77", "clinc150", "cfpb5", "handwritten")


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 when a page differs from the results and is not written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the blocks; without it, say which pages differ")
    arguments = parser.parse_args(argv)
    differing = []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        filled = with_blocks(text)
        if filled != text:
            differing.append(name)
            if arguments.write:
                page.write_text(filled, encoding="utf-8")
    print("\n".join(f"{name}: {'written' if arguments.write else 'differs'}" for name in differing))
    return 1 if differing and not arguments.write else 0


def with_blocks(text: str, results: Path = RESULTS) -> str:
    """Return ``text`` with each block as the results have it; ``LookupError`` for a block that nobody knows."""
    return BLOCK.sub(lambda block: f"{block[1]}{_block(block[2], results)}\n{block[3]}", text)


def _block(name: str, results: Path) -> str:
    if name in _BLOCKS:
        return _BLOCKS[name](results)
    path = results / f"{name}.json"
    if not path.is_file():
        raise LookupError(f"no block is called {name!r}: neither {path.name} nor one of {', '.join(_BLOCKS)}")
    return _with_origin(figure_table, read_result(path))


def _of(name: str, make: Callable[[Mapping[str, Any]], str]) -> Callable[[Path], str]:
    return lambda results: _with_origin(make, read_result(results / f"{name}.json"))


def _with_origin(make: Callable[[Mapping[str, Any]], str], result: Result) -> str:
    rounds = result.measured.get("rounds")
    of_rounds = "" if rounds is None else ", one round" if rounds == 1 else f", medians of {rounds} rounds"
    return f"{make(result.measured)}\n\n`{result.origin.command}`, {_when_and_where(result.origin)}{of_rounds}."


def _when_and_where(origin: Origin) -> str:
    machine = origin.machine
    load = f", load {machine['load_average']} before" if "load_average" in machine else ""
    return f"{origin.date} at {origin.commit[:7]}, {machine['cores']} cores{load}"


def _summary(results: Path) -> str:
    rows: list[str] = []
    origins = []
    for name, beginnings in _SUMMARY.items():
        if not (results / f"{name}.json").is_file():
            continue
        result = read_result(results / f"{name}.json")
        found = figure_table(result.measured, beginnings).splitlines()
        rows += found[2:] if rows else found
        origins.append(f"{name} {_when_and_where(result.origin)}")
    return "\n".join([*rows, "", f"By `make measure` or a part of it: {'; '.join(origins)}."])


def _of_sets(make: Callable[[Mapping[str, Mapping[str, Any]]], str], names: Sequence[str]) -> Callable[[Path], str]:
    def block(results: Path) -> str:
        paths = {name: results / f"quality-{name}.json" for name in names}
        found = {name: read_result(path) for name, path in paths.items() if path.is_file()}
        origins = sorted({f"{result.origin.date} at {result.origin.commit[:7]}" for result in found.values()})
        measured = {name: result.measured for name, result in found.items()}
        return f"{make(measured)}\n\n`python -m benchmarks.quality DIRECTORY --keep`, {' and '.join(origins)}."

    return block


def _default_model(_: Path) -> str:
    metrics = json.loads(_DEFAULT_MODEL.read_text(encoding="utf-8"))
    return f"{default_model_table(metrics)}\n\nFrom `{_DEFAULT_MODEL.relative_to(ROOT)}`."


# Every other block is the table of all figures of the result of its name.
_BLOCKS: Mapping[str, Callable[[Path], str]] = {
    "summary": _summary,
    "default-model": _default_model,
    "quality": _of_sets(quality_table, _SETS),
    "accuracy": _of_sets(partial(quality_table, ending="accuracy"), _SETS),
    "choices": _of_sets(choices_table, _SETS[:-1]),
    "published": lambda _: published_table(),
    "first_day": _of("first_day", first_day_table),
    "promised_precision": _of("promised_precision", promised_precision_table),
    "load_test": _of("load_test", load_table),
    "overload": _of("overload", overload_table),
    "promises": _of("promises", promises_table),
    "soak": _of("soak", soak_table),
    "review_order": _of("review_order", review_order_table),
    "store_faults": _of("store_faults", store_faults_table),
    "store_kills": _of("store_kills", store_kills_table),
}


if __name__ == "__main__":
    sys.exit(main())
