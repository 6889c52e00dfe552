"""``report.html``: the figures of a training run as one self-contained page, for people and for paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.charts.html import Html, bullets, element, join, paragraph
from app.training.report.findings import Findings
from app.training.report.promises import limits_of, measured_sentence, promises_of
from app.training.report.sections import (
    charts,
    confusion,
    key_figures,
    labels_table,
    lengths_table,
    separate_figures,
    terms_table,
)
from app.training.report.style import STYLE
from app.training.report.ticket_tables import confident_mistakes, likely_label_errors


def render_report(findings: Findings) -> str:
    """Return the page; it loads nothing and has no time in it, so that the same training gives the same bytes."""
    title = f"Ticket classifier {findings.metadata['version']}: what it learned, and how sure it is"
    head = element(
        "head",
        element("meta", attributes={"charset": "utf-8"}),
        element("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", attributes={"name": "referrer", "content": "no-referrer"}),
        # Nothing on the page may load or run anything, whatever a ticket says.
        element(
            "meta",
            attributes={
                "http-equiv": "Content-Security-Policy",
                "content": "default-src 'none'; style-src 'unsafe-inline'",
            },
        ),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element("body", element("main", element("h1", title), *_opening(findings), *_heads(findings)))
    return join([Html("<!doctype html>\n"), element("html", head, body, attributes={"lang": "en"}), "\n"])


def _opening(findings: Findings) -> list[Html]:
    split = findings.metadata["split"]
    privacy = (
        "This page quotes tickets: handle it like the tickets themselves. Trained with --no-examples, it has none."
        if findings.show_examples
        else "This page quotes no tickets; single words of them stand in the lists of terms."
    )
    vocabulary = findings.metadata["vocabulary"]
    by_head = measured_sentence(findings.metrics, split["n_validation"])
    links = [element("a", head, attributes={"href": f"#head-{number}"}) for number, head in enumerate(findings.metrics)]
    return [
        paragraph(privacy, kind="warning"),
        paragraph(
            f"{split['n_tickets']:,} tickets in {split['n_groups']:,} groups of similar ones. {_held_out(split)}"
        ),
        *([paragraph(by_head)] if by_head else []),
        paragraph(
            f"The model knows {vocabulary['n_terms']:,} terms. Left out were {vocabulary['n_left_out']:,} that one "
            "sender alone wrote, or that are numbers or in e-mail addresses."
        ),
        *(_promise(head, figures, findings) for head, figures in findings.metrics.items()),
        *(
            [element("h3", "What was found in the data"), bullets(notes)]
            if (notes := findings.metadata["notes"])
            else []
        ),
        element("nav", *links, attributes={"aria-label": "Heads"}),
    ]


def _held_out(split: Mapping[str, int]) -> str:
    if not split["n_validation"]:
        return "None was held out, so there are no figures; the model in this directory learned from all of them."
    return (
        f"The figures come from {split['n_validation']:,} tickets that were held out, group by group, from a model "
        f"that learned from the other {split['n_train']:,}; the model in this directory then learned from all of them."
    )


def _promise(head: str, figures: Mapping[str, Any], findings: Findings) -> Html:
    counts = findings.metadata["label_distributions"][head]
    return element(
        "section",
        element("h2", f"What to expect of “{head}”"),
        bullets(promises_of(figures)),
        element("h3", "What it cannot promise, and what might help"),
        bullets(limits_of(head, figures, counts)),
        attributes={"class": "promise"},
    )


def _heads(findings: Findings) -> list[Html]:
    sections = []
    for number, (head, figures) in enumerate(findings.metrics.items()):
        parts = [element("h2", head, attributes={"id": f"head-{number}"})]
        if "summary" in figures:
            parts += [
                key_figures(figures),
                charts(findings, head),
                confusion(findings, head),
                labels_table(findings, head),
                lengths_table(figures, head),
            ]
        else:
            parts.append(paragraph("Not evaluated."))
        parts += [*separate_figures(figures), terms_table(findings, head)]
        if "summary" in figures:
            parts.append(confident_mistakes(findings, head))
        parts.append(likely_label_errors(findings, head))
        sections.append(element("section", *parts))
    return sections
