"""What the page of review goes by, whoever asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.feedback.second_readings import drawn_for_second_reading, mixed_into_queue

if TYPE_CHECKING:
    from app.feedback.audits import Audits


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """Whether texts are kept, and the draws of second readings."""

    keeps_text: bool
    second_reading: Audits = field(default_factory=drawn_for_second_reading)
    mixed_in: Audits = field(default_factory=mixed_into_queue)
