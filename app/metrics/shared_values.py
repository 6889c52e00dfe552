"""Numbers that several processes count and any of them reads: one memory-mapped file a process, summed by the reader.

A number is a slot, found once by its key; adding to it costs no more than adding to an element of an array, because
nothing is locked, copied or written by a system call. What is counted outlives a process that is killed, in the pages
of its file; the process that replaces it goes on from there, so that no counter ever goes back.
"""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
import struct
import threading
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

logger = logging.getLogger(__name__)

CAPACITY: Final = 32_768
_KEY_BYTES: Final = 1 << 20
_NUMBER_BYTES: Final = 8
# The first numbers of a file: the process that writes it, how many bytes of keys there are, and where to add in vain.
_PID, _USED_KEY_BYTES, DISCARDED = range(3)
MAX_ADJOINING: Final = 4096
_FIRST: Final = DISCARDED + MAX_ADJOINING
_KEYS_AT: Final = CAPACITY * _NUMBER_BYTES
_FILE_BYTES: Final = _KEYS_AT + _KEY_BYTES
_MAX_FILES: Final = 256
_SUFFIX: Final = ".values"


class Key(NamedTuple):
    """What a slot counts: the name of a metric, and the values of its labels.

    ``lasting`` numbers are counters, which outlive their process; others describe a process and end with it.
    """

    name: str
    labels: tuple[str, ...] = ()
    lasting: bool = True


@dataclass(frozen=True, slots=True)
class ProcessValues:
    """The numbers of one process by key; one that has ended has ``pid`` None, and lasting numbers only."""

    pid: int | None
    position: int
    numbers: Mapping[Key, tuple[float, ...]]


class SharedValues:
    """The numbers of this process; with a directory also those of the other processes that write there.

    ``numbers[slot] += 1`` counts. Each slot must be changed by one thread at a time.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._slots: dict[Key, int] = {}
        self._next_slot = _FIRST
        self._descriptor = -1
        self._position = 0
        self._adding = threading.Lock()
        self._map: mmap.mmap | bytearray = bytearray(_FILE_BYTES) if directory is None else self._claim(directory)
        self._bytes = memoryview(self._map)
        self.numbers = self._bytes[:_KEYS_AT].cast("d")
        self._adopt()
        self.numbers[_PID] = os.getpid()

    def slot(self, key: Key, n_numbers: int = 1) -> int:
        """Return the first of ``n_numbers`` adjoining slots for ``key``, the same ones each time.

        It is ``DISCARDED`` when there is no room; counting there is in vain, and does no harm.
        """
        slot = self._slots.get(key)
        return self._add(key, n_numbers) if slot is None else slot

    def processes(self, names: Container[str]) -> Iterator[ProcessValues]:
        """Yield the numbers with ``names`` of this process first, then those of the others as they are now."""
        yield ProcessValues(os.getpid(), self._position, _read(self._bytes, names))
        if self._directory is None:
            return
        for position in range(_MAX_FILES):
            if position != self._position:
                path = self._directory / f"{position}{_SUFFIX}"
                if not path.exists():
                    return
                yield _read_file(path, position, names)

    def close(self) -> None:
        """Stop counting; the numbers stay for whoever reads them, or goes on from them."""
        self.numbers.release()
        self._bytes.release()
        if isinstance(self._map, mmap.mmap):
            self._map.close()
            os.close(self._descriptor)

    def _claim(self, directory: Path) -> mmap.mmap:
        """Open the first file that no living process holds; the kernel lets go of it when this process ends."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for position in range(_MAX_FILES):
            path = directory / f"{position}{_SUFFIX}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            os.ftruncate(descriptor, _FILE_BYTES)
            self._descriptor, self._position = descriptor, position
            return mmap.mmap(descriptor, _FILE_BYTES)
        raise OSError(f"{directory} has {_MAX_FILES} files of other processes: expected one a worker")

    def _adopt(self) -> None:
        for key, slot, n_numbers in _entries(self._bytes):
            self._slots[key] = slot
            self._next_slot = slot + n_numbers
            if not key.lasting:
                for i in range(slot, slot + n_numbers):
                    self.numbers[i] = 0.0

    def _add(self, key: Key, n_numbers: int) -> int:
        if n_numbers > MAX_ADJOINING:
            raise ValueError(f"{key.name} asks for {n_numbers} adjoining numbers, at most {MAX_ADJOINING} are possible")
        with self._adding:
            if key in self._slots:
                return self._slots[key]
            line = f"{json.dumps([key.name, key.labels, key.lasting, n_numbers])}\n".encode()
            used = int(self.numbers[_USED_KEY_BYTES])
            if self._next_slot + n_numbers > CAPACITY or used + len(line) > _KEY_BYTES:
                logger.error("no room for another metric, so it is not counted", extra={"metric": key.name})
                self._slots[key] = DISCARDED
                return DISCARDED
            start = _KEYS_AT + used
            self._bytes[start : start + len(line)] = line
            # A reader that comes in between sees the bytes without the length, and so nothing.
            self.numbers[_USED_KEY_BYTES] = used + len(line)
            slot = self._slots[key] = self._next_slot
            self._next_slot += n_numbers
            return slot


def _entries(content: memoryview) -> Iterator[tuple[Key, int, int]]:
    """Yield each key with its first slot and how many it has."""
    used = int(_numbers_at(content, _USED_KEY_BYTES, 1)[0])
    slot = _FIRST
    for line in bytes(content[_KEYS_AT : _KEYS_AT + used]).splitlines():
        name, labels, lasting, n_numbers = json.loads(line)
        yield Key(name, tuple(labels), lasting), slot, n_numbers
        slot += n_numbers


def _numbers_at(content: memoryview, slot: int, n_numbers: int) -> tuple[float, ...]:
    return struct.unpack_from(f"{n_numbers}d", content, slot * _NUMBER_BYTES)


def _read(content: memoryview, names: Container[str]) -> dict[Key, tuple[float, ...]]:
    return {
        key: _numbers_at(content, slot, n_numbers) for key, slot, n_numbers in _entries(content) if key.name in names
    }


def _read_file(path: Path, position: int, names: Container[str]) -> ProcessValues:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        is_alive = _is_held(descriptor)
        if os.fstat(descriptor).st_size < _FILE_BYTES:
            return ProcessValues(None, position, {})
        with mmap.mmap(descriptor, _FILE_BYTES, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as content:
            numbers = _read(content, names)
            pid = int(_numbers_at(content, _PID, 1)[0])
    finally:
        os.close(descriptor)
    if is_alive:
        return ProcessValues(pid, position, numbers)
    return ProcessValues(None, position, {key: values for key, values in numbers.items() if key.lasting})


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
