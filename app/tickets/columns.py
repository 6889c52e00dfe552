"""Which column of a file is what, and what to say when that is not clear."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.tickets.input_error import InputError, listed, quoted
from app.tickets.name_pairs import TEXT_FIELDS
from app.tickets.table import Table

DEFAULT_TARGETS = ("priority", "department")
GROUP_COLUMN = "situation"
_HEAD_NAME = re.compile(r"\w[\w-]{0,63}")
# What the exports of Zendesk, Freshdesk, Jira, Zammad and others call these columns.
_OTHER_NAMES = {
    "title": ("subject", "summary", "ticket subject", "short description", "betreff"),
    "description": ("body", "description_text", "description text", "message", "content", "text", "ticket description"),
    "priority": ("prio", "urgency", "severity", "ticket priority"),
    "department": (
        "group", "team", "queue", "assigned group", "ticket group", "category", "component/s", "components",
        "request type", "custom field (request type)", "assignment group",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextColumns:
    """The names in the file of the columns that hold a ticket's text; not both are ``None``."""

    title: str | None
    description: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.title, self.description) if name is not None)


@dataclass(frozen=True, slots=True)
class Columns:
    """The names in the file of the columns that training reads; ``labels`` by head."""

    texts: TextColumns
    labels: Mapping[str, str]
    group: str | None
    ticket_id: str | None
    domain: str | None


def choose_columns(
    table: Table,
    *,
    targets: Sequence[str] | None,
    column_map: Mapping[str, str],
    group: str | None,
    domain: str | None = None,
) -> Columns:
    """Return the columns to read; raise ``InputError`` when one is missing, with a guess at what it is called here."""
    texts = choose_text_columns(table, column_map)
    if group is None and table.find(GROUP_COLUMN) is not None:
        group = GROUP_COLUMN
    ticket_id = column_map.get("id")
    for name in (group, ticket_id, domain):
        if name is not None:
            table.column(name)
    return Columns(texts, _label_columns(table, targets, column_map), group, ticket_id, domain)


def choose_text_columns(table: Table, column_map: Mapping[str, str]) -> TextColumns:
    """Return the columns with text; raise ``InputError`` when there is none, or not the one that is mapped."""
    title, description = (find_column(table, field, column_map) for field in TEXT_FIELDS)
    if title is None and description is None:
        raise InputError(
            f'{table.path}, row 1: there is no column "title" or "description"; the file has {listed(table.columns)}; '
            f"say which is which with {_guess(table, TEXT_FIELDS)}"
        )
    return TextColumns(title, description)


def find_column(table: Table, field: str, column_map: Mapping[str, str]) -> str | None:
    """Return what a field of ours is called in the file; raise ``InputError`` when a mapped column is not there."""
    position = table.column(column_map[field]) if field in column_map else table.find(field)
    return None if position is None else table.columns[position]


def _label_columns(table: Table, targets: Sequence[str] | None, column_map: Mapping[str, str]) -> dict[str, str]:
    if targets is None:
        # A column that --map names and the file lacks is a mistake, not a target to leave out.
        targets = [head for head in DEFAULT_TARGETS if head in column_map or table.find(head) is not None]
    if not targets:
        raise InputError(
            f'{table.path}, row 1: there is no column "priority" or "department"; '
            f"the file has {listed(table.columns)}; name the columns to predict with --targets, or map them with "
            f"{_guess(table, DEFAULT_TARGETS)}"
        )
    for head in targets:
        table.column(column_map.get(head, head))
        if not is_head_name(head):
            raise InputError(
                f"{table.path}, row 1, column {quoted(head)}: a target names files: letters, digits, _ and -; "
                f'give it such a name with --targets NAME --map "NAME={head}"'
            )
    return {head: column_map.get(head, head) for head in targets}


def is_head_name(name: str) -> bool:
    """Say whether ``name`` may be that of a head, which is a part of the names of files."""
    return _HEAD_NAME.fullmatch(name) is not None


def _guess(table: Table, names: Sequence[str]) -> str:
    """Return the options that would map the columns that are called so elsewhere."""
    folded = {column.casefold(): column for column in table.columns}
    options = []
    for name in names:
        here = next((folded[other] for other in _OTHER_NAMES[name] if other in folded), None)
        if here is not None:
            options.append(f'--map "{name}={here}"' if " " in here else f"--map {name}={here}")
    return " ".join(options) or f"--map {names[0]}=COLUMN"
