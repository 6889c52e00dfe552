"""Records of Parquet, in Arrow's batches; only who has such a file waits for the library to be imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.tickets.input_error import InputError, quoted

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class ParquetBatch:
    """``first`` is the row of the first record, where a header would be row 1; ``share_read`` is from 0 to 1."""

    first: int
    records: pa.RecordBatch
    share_read: float


def parquet_columns(path: Path) -> tuple[str, ...]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - see the module's first line

    with _errors_of(path):
        return tuple(pq.read_schema(path).names)


def parquet_batches(path: Path, n_records: int, *, skip: int, columns: Sequence[str] | None) -> Iterator[ParquetBatch]:
    """Yield all records but the first ``skip``, at most ``n_records`` at a time, with some columns or all."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - see the module's first line

    n_read = 0
    with _errors_of(path), pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=n_records, columns=columns):
            kept = batch.slice(min(batch.num_rows, max(0, skip - n_read)))
            n_read += batch.num_rows
            if kept.num_rows:
                yield ParquetBatch(n_read - kept.num_rows + 2, kept, n_read / file.metadata.num_rows)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    import pyarrow as pa  # noqa: PLC0415 - see the module's first line

    try:
        yield
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a Parquet file: {quoted(str(error), at_most=80)}") from error
