"""The templates of the console: how they escape, and how they write numbers and times; imported with the first page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.charts.html import text

if TYPE_CHECKING:
    from pathlib import Path

# A dash of the width of a digit.
_NONE: Final = "\u2013"


def environment(directory: Path) -> Environment:
    """Return the templates in ``directory``: what they are given is escaped, and a missing name an error."""
    templates = Environment(
        loader=FileSystemLoader(directory),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters |= {"percent": percent, "count": count, "day": day, "minute": minute, "iso": iso}
    return templates


def percent(share: float | None, digits: int = 0) -> str:
    """Return 0.956 as "96 %"; never a round 100 or 0 that is none."""
    if share is None:
        return _NONE
    rounded = round(100 * share, digits)
    if rounded in {0, 100} and share not in {0, 1}:
        sign, end = ("<", 10**-digits) if rounded == 0 else (">", 100 - 10**-digits)
        return f"{sign}\u2009{end:.{digits}f}\u202f%"
    return f"{rounded:.{digits}f}\u202f%"


def count(number: int) -> str:
    """Return 12345 as "12,345"."""
    return f"{number:,}"


def day(milliseconds: int) -> str:
    """Return a time in milliseconds since 1970 as "24 Nov 2026", in UTC."""
    return _time(milliseconds).strftime("%-d %b %Y")


def minute(milliseconds: int) -> str:
    """Return a time in milliseconds since 1970 as "24 Nov 2026, 14:05 UTC"."""
    return _time(milliseconds).strftime("%-d %b %Y, %H:%M UTC")


def iso(milliseconds: int) -> str:
    """Return a time in milliseconds since 1970 as programs read it."""
    return _time(milliseconds).isoformat(timespec="seconds")


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _printable(value: object) -> object:
    return text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
