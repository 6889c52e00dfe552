"""Tickets that are in the data more than once, and those among them whose labels contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.tickets.input_error import quoted

_MOST_NAMED = 5


def duplicate_notes(
    texts: Iterable[tuple[str, str]], labels: Mapping[str, Sequence[str]], row_numbers: Sequence[int]
) -> list[str]:
    """Return a note on repeated texts, and for each head one on repeated texts with different labels.

    Texts are the same when they differ in letter case and spaces only.
    """
    first: dict[int, int] = {}
    repeats: list[tuple[int, int]] = []
    for i, (title, description) in enumerate(texts):
        earlier = first.setdefault(text_key(title, description), i)
        if earlier != i:
            repeats.append((i, earlier))
    if not repeats:
        return []
    named = ", ".join(str(row_numbers[i]) for i, _ in repeats[:_MOST_NAMED])
    notes = [f"{len(repeats):,} tickets repeat the text of an earlier one: row {named}{_more(len(repeats))}"]
    for head, values in labels.items():
        contradictions = [
            (i, earlier) for i, earlier in repeats if values[i] and values[earlier] and values[i] != values[earlier]
        ]
        if contradictions:
            pairs = "; ".join(
                f"row {row_numbers[i]} {quoted(values[i])}, row {row_numbers[earlier]} {quoted(values[earlier])}"
                for i, earlier in contradictions[:_MOST_NAMED]
            )
            notes.append(
                f"{head}: {len(contradictions):,} tickets have the text of an earlier one and another label: "
                f"{pairs}{_more(len(contradictions))}"
            )
    return notes


def text_key(title: str, description: str) -> int:
    """Return a number that texts share, within this process, when they differ in letter case and spaces only."""
    # A hash, because a million texts a second time would not fit beside the first: two of a million share one with a
    # probability of three in a hundred million.
    return hash(" ".join(f"{title}\n{description}".casefold().split()))


def _more(n: int) -> str:
    return ", …" if n > _MOST_NAMED else ""
