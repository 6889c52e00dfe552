"""Chunks of tickets through the model in several processes, and back in the order read.

Every process has a pipe of its own and at most one chunk in it: memory stays bounded, and when the parent is killed,
its children read the end of their pipes and end too.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from app.models.classifier import TicketClassifier
from app.models.label_shares import Shares
from app.tickets.columns import TextColumns
from app.tickets.input_error import InputError
from app.tickets.table import Chunk
from app.tickets.writing import TableWriter
from scripts.lib.prediction_columns import prediction_values

_SECONDS_TO_END = 5.0


class WorkerError(Exception):
    """A process ended before its work did."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every process needs to turn a chunk into bytes; heads with ``shares`` are adapted to them."""

    model_directory: Path
    text_columns: TextColumns
    writer: TableWriter
    shares: Shares = field(default_factory=dict)

    def classifier(self) -> TicketClassifier:
        return TicketClassifier.load(self.model_directory, shares=self.shares)

    def encoder(self) -> Callable[[Chunk], Encoded]:
        classifier = self.classifier()

        def encode(chunk: Chunk) -> Encoded:
            predictions = classifier.predict_columns(*self.texts(chunk))
            added = prediction_values(predictions, classifier.heads, classifier.version, n_tickets=len(chunk))
            return Encoded(self.writer.encode(chunk, added), len(chunk), chunk.share_read)

        return encode

    def texts(self, chunk: Chunk) -> tuple[list[str], list[str]]:
        """Return titles and descriptions."""
        return self._texts(chunk, self.text_columns.title), self._texts(chunk, self.text_columns.description)

    def _texts(self, chunk: Chunk, name: str | None) -> list[str]:
        table = self.writer.source
        return [""] * len(chunk) if name is None else table.texts(chunk, table.column(name))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk's output."""

    content: bytes
    n_tickets: int
    share_read: float


def classify_in_order(chunks: Iterable[Chunk], job: Job, n_processes: int) -> Generator[Encoded, None, None]:
    """Yield the output of each chunk in order.

    Raise ``InputError`` for a record that cannot be written, ``WorkerError`` when a process is lost.
    """
    chunks = iter(chunks)
    first = list(itertools.islice(chunks, 2))
    if n_processes == 1 or len(first) <= 1:
        yield from map(job.encoder(), itertools.chain(first, chunks))
        return
    with _connections(job, n_processes) as connections:
        busy: deque[Connection] = deque()
        for chunk, connection in zip(itertools.chain(first, chunks), itertools.cycle(connections), strict=False):
            # The oldest busy one is the one whose turn it is.
            encoded = _receive(busy.popleft()) if len(busy) == n_processes else None
            with _worker_errors():
                connection.send(chunk)
            busy.append(connection)
            if encoded:
                yield encoded
        yield from map(_receive, busy)


@contextmanager
def _connections(job: Job, n_processes: int) -> Iterator[list[Connection]]:
    # As many processes as cores, each computing in one thread.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A forked child would hold its elder siblings' pipes open, and so outlive the parent.
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        connections = []
        for _ in range(n_processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, job), daemon=True)
            process.start()
            theirs.close()
            stack.callback(_end, process)
            stack.callback(ours.close)
            connections.append(ours)
        yield connections


@contextmanager
def _worker_errors() -> Iterator[None]:
    # One that is killed while it waits shows when it is sent to, any other when its answer is read.
    try:
        yield
    except (EOFError, ConnectionError) as error:
        # Its traceback would keep the pipe's buffers, with the chunk in them, longer than the pipe.
        cause = error.with_traceback(None)
        raise WorkerError("a worker process ended early; was it out of memory?") from cause


def _end(process: multiprocessing.context.SpawnProcess) -> None:
    process.join(_SECONDS_TO_END)
    if process.is_alive():
        process.kill()
        process.join()


def _work(connection: Connection, job: Job) -> None:
    # Ctrl-C reaches the whole group; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    encode = job.encoder()
    # A parent that is gone shows as the end of the pipe, or as a pipe that is reset or broken.
    with suppress(EOFError, ConnectionError):
        while True:
            chunk = connection.recv()
            try:
                answer: Encoded | InputError = encode(chunk)
            except InputError as error:
                answer = error
            connection.send(answer)


def _receive(connection: Connection) -> Encoded:
    with _worker_errors():
        answer = connection.recv()
    if isinstance(answer, InputError):
        raise answer
    if not isinstance(answer, Encoded):
        raise TypeError(f"a worker answered {type(answer).__name__}")
    return answer
