"""How often each label is due in a file of tickets without labels, by the answers to a part of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain

from app.models.label_shares import FEWEST_ANSWERS
from app.tickets.input_error import InputError
from app.tickets.table import Chunk
from scripts.lib.classify_processes import Job

# Thousands of tickets tell the shares to a hundredth; more would only take longer.
_MOST_CHUNKS = 32


def estimated_shares(chunks: Iterable[Chunk], job: Job) -> dict[str, dict[str, float]]:
    """Return the shares of the labels of every head, from at most 32 of the chunks, evenly spread.

    Raise ``InputError`` when there are too few tickets, or when the version does not say how it errs.
    """
    classifier = job.classifier()
    reference = classifier.reference
    sample = [classifier.predict_columns(*job.texts(chunk)) for chunk in _spread(chunks)]
    shares = {}
    for head in classifier.heads:
        confusion = None if reference is None else reference.heads[head].confusion
        if confusion is None:
            raise InputError(f"version {classifier.version} does not say how it errs at training: train it again")
        counts = Counter(chain.from_iterable(columns[head].labels for columns in sample))
        if counts.total() < FEWEST_ANSWERS:
            raise InputError(
                f"{counts.total()} tickets are too few to tell their mix: expected {FEWEST_ANSWERS} or more"
            )
        estimate = confusion.shares_behind([counts[label] for label in confusion.labels])
        shares[head] = dict(zip(confusion.labels, estimate.tolist(), strict=True))
    return shares


def _spread(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return every chunk, or every second, fourth, ... of them, so that they are at most ``_MOST_CHUNKS``."""
    step, kept = 1, list[Chunk]()
    for number, chunk in enumerate(chunks):
        if number % step:
            continue
        kept.append(chunk)
        if len(kept) > _MOST_CHUNKS:
            step, kept = 2 * step, kept[::2]
    return kept
