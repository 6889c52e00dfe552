"""Tickets that nobody labelled, from a file: their texts, each once, and nothing that is among the labelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.tickets.columns import GROUP_COLUMN, choose_text_columns
from app.tickets.input_error import InputError
from app.tickets.table import read_table
from app.training.intake.duplicates import text_key
from app.training.intake.labelled_tickets import NO_ROW, Tickets


@dataclass(frozen=True, slots=True, eq=False)
class Unlabelled:
    """Texts, column by column; ``sha256`` is that of the file, ``groups`` as those of ``Tickets``."""

    titles: list[str]
    descriptions: list[str]
    sha256: str
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.titles)


NOBODY = Unlabelled([], [], "")


def with_unlabelled(tickets: Tickets, unlabelled: Unlabelled) -> Tickets:
    """Return ``tickets`` and, after them, the unlabelled ones with blank labels and without a row."""
    n_tickets, n_others = len(tickets), len(unlabelled)
    groups = None
    if tickets.groups is not None or unlabelled.groups is not None:
        own = [f"\n{i}" for i in range(n_tickets + n_others)]
        groups = [*(tickets.groups or own[:n_tickets]), *(unlabelled.groups or own[n_tickets:])]
    return replace(
        tickets,
        titles=[*tickets.titles, *unlabelled.titles],
        descriptions=[*tickets.descriptions, *unlabelled.descriptions],
        labels={head: [*of_head, *[""] * n_others] for head, of_head in tickets.labels.items()},
        groups=groups,
        domains=None,
        row_numbers=[*map(tickets.row_number, range(n_tickets)), *[NO_ROW] * n_others],
        ids=None if tickets.ids is None else [*tickets.ids, *[""] * n_others],
    )


def read_unlabelled(
    path: Path, column_map: Mapping[str, str], *, besides: Tickets, group: str | None = None
) -> Unlabelled:
    """Read the texts of a file; raise ``InputError`` when there are none but those of ``besides``.

    Texts are the same when they differ in letter case and spaces only. Labels are left aside. ``group`` is the
    column of what belongs together, by default ``GROUP_COLUMN``, if the file has it.
    """
    table = read_table(path)
    texts = choose_text_columns(table, column_map)
    seen = set(map(text_key, besides.titles, besides.descriptions))
    group = group or GROUP_COLUMN
    has_groups = table.find(group) is not None
    titles, descriptions, groups = [], [], []
    for row in table.rows([table.column(name) for name in (*texts.names, *([group] if has_groups else []))]):
        title = row.fields[0] if texts.title else ""
        description = row.fields[len(texts.names) - 1] if texts.description else ""
        key = text_key(title, description)
        if (title.strip() or description.strip()) and key not in seen:
            seen.add(key)
            titles.append(title)
            descriptions.append(description)
            groups.append(row.fields[-1])
    if not titles:
        raise InputError(f"--unlabelled: {path} has no ticket with text that is not among the labelled ones")
    return Unlabelled(titles, descriptions, table.sha256, groups if has_groups else None)
