"""Reads the written situations; composing tickets from them is left to the composer."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SITUATIONS_DIRECTORY = Path(__file__).resolve().parent / "situations"
SECTORS_FILE = SITUATIONS_DIRECTORY / "_sectors.toml"


class SituationError(ValueError):
    """A situation file that cannot be used; the message names the file and the entry."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Something that happens to a customer, with its labels, in several wordings."""

    id: str
    priority: str
    department: str
    industry: str
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]


def load_situations(directory: str | Path = SITUATIONS_DIRECTORY) -> list[Situation]:
    """Every situation of every `*.toml` file whose name does not start with an underscore, in order of file names.

    Raises `SituationError` for a file that cannot be read, a field that is missing or blank, and an id used twice.
    """
    files = sorted(path for path in Path(directory).glob("*.toml") if not path.name.startswith("_"))
    situations: dict[str, Situation] = {}
    for path in files:
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8")).get("situation", [])
        except (OSError, ValueError) as error:
            raise SituationError(f"{path}: not readable as TOML in UTF-8: {error}") from error
        for number, entry in enumerate(entries, start=1):
            situation = _situation(entry, where=f"{path}, situation {number}")
            if situation.id in situations:
                raise SituationError(
                    f"{path}, situation {number}: the id {situation.id!r} is used twice; ids are unique"
                )
            situations[situation.id] = situation
    if not situations:
        raise SituationError(f"{directory}: no *.toml file with a [[situation]]; name the directory that has them")
    return list(situations.values())


def load_sectors() -> dict[str, str]:
    """Return the sector of each industry that has one."""
    sectors = tomllib.loads(SECTORS_FILE.read_text(encoding="utf-8"))
    return {industry: sector for sector, industries in sectors.items() for industry in industries}


def _situation(entry: Mapping[str, Any], *, where: str) -> Situation:
    for field in ("id", "priority", "department", "industry"):
        value = entry.get(field)
        if not isinstance(value, str) or not value.strip():
            raise SituationError(f"{where}: {field} is {value!r}; expected a text that is not blank")
    for field in ("titles", "descriptions"):
        texts = entry.get(field)
        if (
            not isinstance(texts, list)
            or not texts
            or not all(isinstance(text, str) and text.strip() for text in texts)
        ):
            raise SituationError(f"{where}: {field} is {texts!r}; expected a list of texts that are not blank")
    return Situation(
        id=entry["id"],
        priority=entry["priority"],
        department=entry["department"],
        industry=entry["industry"],
        titles=tuple(entry["titles"]),
        descriptions=tuple(entry["descriptions"]),
    )
