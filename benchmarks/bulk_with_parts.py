"""A file of tickets through the scikit-learn parts: ``python -m benchmarks.bulk_with_parts IN OUT MODEL PROCESSES``.

What somebody would write in a notebook: read a chunk, transform, predict, write. With 0 processes, one for each core.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import islice
from pathlib import Path

from app.models.features import join_fields
from benchmarks.scikit_learn_parts import Parts, stored_parts

_CHUNK = 5_000

Row = list[str]


def main(argv: Sequence[str] | None = None) -> int:
    source, output, model, n_processes = argv or sys.argv[1:]
    with Path(source).open(encoding="utf-8", newline="") as read, Path(output).open("w", newline="") as written:
        rows = csv.reader(read)
        header = next(rows)
        writer = csv.writer(written)
        writer.writerow(header)
        chunks = _chunks(rows)
        if n_processes == "1":
            for chunk in chunks:
                writer.writerows(_classify(model, chunk))
            return 0
        with ProcessPoolExecutor(int(n_processes) or len(os.sched_getaffinity(0))) as processes:
            for rows_done in processes.map(_classify, *zip(*((model, chunk) for chunk in chunks), strict=True)):
                writer.writerows(rows_done)
    return 0


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


@cache
def _parts(model: str) -> Parts:
    return stored_parts(Path(model))


def _classify(model: str, rows: list[Row]) -> list[list[object]]:
    parts = _parts(model)
    columns: list[list[object]] = []
    for (_, regression), p in zip(
        parts.heads, parts.predict_proba([join_fields(title, text) for title, text in rows]), strict=True
    ):
        columns += [regression.classes_[p.argmax(axis=1)].tolist(), p.max(axis=1).round(6).tolist()]
    return [[*row, *values] for row, values in zip(rows, zip(*columns, strict=True), strict=True)]


if __name__ == "__main__":
    sys.exit(main())
