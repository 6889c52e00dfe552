"""What a note to the people of a helpdesk says: what is suggested, how sure that is, and the mark it is known by."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.connectors.steps import Suggestion


def marker_of(prediction_id: str) -> str:
    """Return what stands in the note of one prediction, and in no other."""
    return f"[{prediction_id}]"


def note_text(suggestions: Mapping[str, Suggestion], prediction_id: str) -> str:
    """Return an internal note in plain text."""
    lines = [
        f"{head.replace('_', ' ').capitalize()}: {suggestion.label} ({suggestion.confidence:.0%} sure)"
        for head, suggestion in suggestions.items()
    ]
    return "\n".join(
        ["Suggested by the ticket classifier, not sure enough to set it:", *lines, marker_of(prediction_id)]
    )


def as_html(note: str) -> str:
    """Return a note for helpdesks that take HTML."""
    return html.escape(note).replace("\n", "<br>")
