"""What people read beside a model: the report, the model card, and the list of likely label errors."""

from __future__ import annotations

from app.training.measuring.label_errors import label_errors_csv
from app.training.report.findings import Findings
from app.training.report.model_card import render_model_card
from app.training.report.report import render_report


def documents(findings: Findings) -> dict[str, bytes]:
    """Return the files by name; the same findings give the same bytes, since no time of day is in them."""
    return {
        "report.html": render_report(findings).encode(),
        "MODEL_CARD.md": render_model_card(findings).encode(),
        "label_errors.csv": label_errors_csv(findings.suspects, findings.tickets, show_texts=findings.show_examples),
    }
