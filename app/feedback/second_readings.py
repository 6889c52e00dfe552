"""How often a second person judges a ticket too, and how these tickets are mixed into the queue: by chance alone."""

from __future__ import annotations

from typing import Final

from app.feedback.audits import Audits

SECOND_READING_SHARE: Final = 0.05
# Of the tickets that a reviewer is given while there are such to be read, so that nobody gets many in a row.
_MIXED_SHARE: Final = 0.25


def drawn_for_second_reading() -> Audits:
    """Return what draws the tickets that are judged again; like audits: who knew which would judge otherwise."""
    return Audits(SECOND_READING_SHARE)


def mixed_into_queue() -> Audits:
    """Return what draws whether the next ticket of a reviewer is a second reading, if there is one."""
    return Audits(_MIXED_SHARE)
