"""What people say about columns and labels on a command line: ``--map NAME=COLUMN`` and ``--label-map THEIRS=OURS``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from app.tickets.input_error import InputError

TEXT_FIELDS = ("title", "description")


def parse_column_map(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``["title=Subject", ...]`` as our name to the file's; raise ``InputError`` for anything else."""
    return dict(_pair("--map", pair, "NAME=COLUMN, such as title=Subject") for pair in pairs)


def parse_label_map(text: str) -> dict[str, str]:
    """Read ``"urgent=Urgent,normal=Medium"`` as the file's label to ours; raise ``InputError`` for anything else."""
    expected = "THEIRS=OURS,..., such as urgent=Urgent,normal=Medium"
    return dict(_pair("--label-map", pair, expected) for pair in text.split(",")) if text else {}


def check_fields(column_map: Mapping[str, str], known: Collection[str], *, heads: str = "") -> None:
    """Raise ``InputError`` when a name of ours is none; ``heads`` says where other names of heads come from."""
    for name, column in column_map.items():
        if name in known:
            continue
        names = ", ".join(known)
        hint = f"; our name comes first: --map {column}={name}" if column in known else ""
        raise InputError(f'--map "{name}={column}": there is no field "{name}"; the fields are {names}{heads}{hint}')


def _pair(option: str, text: str, expected: str) -> tuple[str, str]:
    name, separator, value = (part.strip() for part in text.partition("="))
    if not (name and separator and value):
        raise InputError(f'{option} "{text}" is not {expected}')
    return name, value
