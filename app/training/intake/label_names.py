"""One spelling for each label: renamed where the team asks for it, joined where only case or spaces differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from app.tickets.input_error import listed, quoted


class LabelNames:
    """The labels of one column as they are read; equal ones are one object."""

    def __init__(self, column: str, label_map: Mapping[str, str]) -> None:
        self._column = column
        self._wanted = {folded(label): ours for label, ours in label_map.items()}
        self._known: dict[str, str] = {}
        self.used: set[str] = set()

    def ours(self, label: str) -> str:
        """Return what a label of the file is called here."""
        known = self._known.get(label)
        if known is None:
            key = folded(label)
            if key in self._wanted:
                self.used.add(key)
            known = self._known[label] = self._wanted.get(key, label.strip())
        return known

    def joined(self, values: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the most frequent spelling of each label, the first of equals, and a note on each that had several."""
        counts = Counter(values)
        seen: dict[str, list[str]] = {}
        for label in counts:
            seen.setdefault(folded(label), []).append(label)
        chosen = {}
        notes = []
        for spellings in seen.values():
            best = " ".join(max(spellings, key=lambda label: counts[label]).split())
            chosen.update(dict.fromkeys(spellings, best))
            if len(spellings) > 1:
                notes.append(
                    f"column {quoted(self._column)}: the labels {listed(spellings)} were joined as {quoted(best)}"
                )
        return [chosen[label] for label in values], notes


def unused_notes(label_map: Mapping[str, str], columns: Iterable[LabelNames]) -> list[str]:
    """Return a note on each mapping that met no label in any column."""
    used = set().union(*(names.used for names in columns))
    wanted = dict.fromkeys(map(folded, label_map))
    return [f'--label-map: no ticket has the label "{label}"' for label in wanted if label not in used]


def folded(label: str) -> str:
    """Bring a label into the form in which spellings are joined: case and runs of spaces do not count."""
    return " ".join(label.split()).casefold()
