"""Memory of the running service: one worker, what a second one adds, and a worker with a large vocabulary."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Figure, Subject, Ticket, memory_of_tree, resident_memory
from benchmarks.service import running_service
from benchmarks.synthetic_model import write_synthetic_version

_MANY_FEATURES = 150_000
_REQUESTS_A_WORKER = 200
_MEGABYTE = 1e6


def measure(subject: Subject) -> list[Figure]:
    models_dir, rounds = subject.model_directory.parent, range(subject.rounds)
    of_workers = [[_memory(models_dir, subject.tickets, workers=n) for n in (1, 2, 3)] for _ in rounds]
    with tempfile.TemporaryDirectory() as directory:
        write_synthetic_version(Path(directory), _MANY_FEATURES)
        many = [_memory(Path(directory), subject.tickets, workers=1) for _ in rounds]
    second = tuple((two.shared_once - one.shared_once) / one.shared_once * 100 for one, two, _ in of_workers)
    another = tuple((three.shared_once - two.shared_once) / one.shared_once * 100 for one, two, three in of_workers)
    return [
        Figure("memory of one worker", "MB", tuple(one.resident / _MEGABYTE for one, _, _ in of_workers), at_most=90),
        Figure(
            f"memory of one worker with {_MANY_FEATURES:,} features",
            "MB",
            tuple(memory.resident / _MEGABYTE for memory in many),
            at_most=160,
        ),
        Figure("a second worker and what starts workers add, of the first", "%", second),
        Figure("one more worker adds, of the first", "%", another, at_most=60),
    ]


@dataclass(frozen=True, slots=True)
class _Memory:
    """Bytes of the first process, and of all processes where a page that several have counts once."""

    resident: int
    shared_once: int


def _memory(models_dir: Path, tickets: Sequence[Ticket], *, workers: int) -> _Memory:
    """Measure after every worker had its part of the requests."""
    with running_service(models_dir, workers=workers) as service:
        for i in range(_REQUESTS_A_WORKER * workers):
            ticket = tickets[i % len(tickets)]
            service.classify(ticket.title[:300], ticket.description[:20_000])
        return _Memory(resident_memory(service.process_id), memory_of_tree(service.process_id))
