"""The sections of the report on one head: tables and captions around the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.training.report.charts import heat_map, learning_curve_chart, precision_coverage_chart, reliability_diagram
from app.training.report.findings import Findings
from app.training.report.html import Html, cell, element, join, paragraph, table
from app.training.report.terms import strongest_terms

# A table of more labels than this is too wide to read; a picture takes its place.
_MOST_LABELS_IN_A_TABLE = 12
_MOST_CONFUSIONS = 20
_MOST_TICKETS = 15
_MOST_CHARACTERS = 400
# So that the page's ink can be read on every shade.
_DARKEST_SHADE = 0.5


def key_figures(figures: Mapping[str, Any]) -> Html:
    summary, intervals, calibration = figures["summary"], figures["intervals"], figures["calibration"]
    before = figures["calibration_out_of_fold"]["before"]["expected_calibration_error"]
    shown = [
        (f"{summary['accuracy']:.3f}", f"accuracy ({_range(intervals['accuracy'])})"),
        (f"{summary['macro_f1']:.3f}", f"macro-F1 ({_range(intervals['macro_f1'])})"),
        (f"{figures['baselines']['majority_accuracy']:.3f}", "accuracy of always the most frequent label"),
        (
            f"{calibration['expected_calibration_error']:.3f}",
            f"expected calibration error ({before:.3f} out of fold before calibration)",
        ),
        (f"{calibration['brier_score']:.3f}", "Brier score"),
        (
            f"{figures['overlap']['texts']} and {figures['overlap']['near_duplicates']}",
            f"validation texts and near-duplicates found in training, of {figures['overlap']['tickets_checked']:,}",
        ),
    ]
    boxes = [
        element("div", element("b", value), element("span", name), attributes=_kind("figure")) for value, name in shown
    ]
    return element("div", *boxes, attributes=_kind("figures"))


def charts(findings: Findings, head: str) -> Html:
    figures = findings.metrics[head]
    validation = findings.partition.split.validation
    probabilities = findings.unseen[head][validation]
    labels = sorted(figures["per_class"])
    truth = np.searchsorted(np.asarray(labels, dtype=object), [findings.tickets.labels[head][i] for i in validation])
    drawn = [
        _figure(
            reliability_diagram(figures["calibration"]["bins"], name=head),
            "Reliability: on the dashed line, answers are right as often as their confidence says; below it, the model "
            "is too sure of itself. Bars show how many tickets each bin has.",
        ),
        _figure(
            precision_coverage_chart(
                probabilities.max(axis=1),
                probabilities.argmax(axis=1) == truth,
                target=findings.metadata["target_precision"],
                auto=figures["decisions"]["auto"],
                name=head,
            ),
            "Precision against coverage: the more tickets are answered, the more answers are wrong. The dashed line is "
            f"a precision of {findings.metadata['target_precision']:.2f}; the ring is what the thresholds do together, "
            "of which each label has its own.",
        ),
    ]
    if len(figures["learning_curve"]["points"]) > 1:
        drawn.append(
            _figure(
                learning_curve_chart(figures["learning_curve"]["points"], name=head),
                figures["learning_curve"]["conclusion"],
            )
        )
    return element("div", *drawn, attributes=_kind("charts"))


def confusion(figures: Mapping[str, Any], head: str) -> Html:
    labels = figures["confusion_matrix"]["labels"]
    counts = np.array(figures["confusion_matrix"]["counts"])
    title = element("h3", "What is taken for what")
    if len(labels) <= _MOST_LABELS_IN_A_TABLE:
        return join([title, _matrix(counts, labels, head)])
    picture = _figure(heat_map(counts, labels, name=head), "Rows are true labels; a dark diagonal is what to hope for.")
    scrolled = element(
        "div",
        picture,
        attributes={"class": "scroll wide", "tabindex": "0", "role": "region", "aria-label": "Confusion matrix"},
    )
    return join([title, _top_confusions(counts, labels), scrolled])


def _matrix(counts: np.ndarray[Any, Any], labels: list[str], head: str) -> Html:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        [label, *(_shaded(int(n), float(share)) for n, share in zip(row, row_shares, strict=True))]
        for label, row, row_shares in zip(labels, counts, shares, strict=True)
    ]
    return table(f"{head}: rows are true labels, columns are answers", ["true, answered", *labels], rows, kind="matrix")


def _shaded(n: int, share: float) -> Html:
    share_text = [element("small", f"{100 * share:.0f} %")] if n else []
    shade = f"background:rgb(var(--heat) / {_DARKEST_SHADE * share:.2f})"
    return cell(f"{n:,}", *share_text, attributes={"style": shade})


def _top_confusions(counts: np.ndarray[Any, Any], labels: list[str]) -> Html:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    rows = []
    for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True):
        if wrong[row, column]:
            share = wrong[row, column] / counts[row].sum()
            rows.append([labels[row], labels[column], f"{wrong[row, column]:,}", f"{100 * share:.0f} %"])
    caption = f"The most frequent confusions of {len(labels)} labels"
    return table(caption, ["true label", "answered", "tickets", "share of the true label"], rows, kind="pairs")


def labels_table(findings: Findings, head: str) -> Html:
    figures = findings.metrics[head]
    counts = findings.metadata["label_distributions"][head]
    most = max(counts.values())
    rows = []
    for label, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        bar = element("span", attributes={"class": "meter", "style": f"width:{5 * n / most:.2f}rem"})
        measured, point = figures["per_class"][label], figures["operating_points"][label]
        scores = [f"{measured[key]:.2f}" if measured["support"] else "" for key in ("precision", "recall", "f1-score")]
        auto = "review only" if point["auto"] is None and point["suggest"] is None else _threshold(point["auto"])
        balance = cell(bar, f"{n:,}")
        rows.append([label, balance, f"{measured['support']:.0f}", *scores, auto])
    header = ["label", "all tickets", "held out", "precision", "recall", "F1", "acts alone from"]
    return join(
        [element("h3", "Labels"), table(f"{head}: balance and figures of each label", header, rows, kind="labels")]
    )


def lengths_table(figures: Mapping[str, Any], head: str) -> Html:
    rows = [
        [band["words"], f"{band['n_tickets']:,}", f"{band['accuracy']:.3f}", f"{band['mean_confidence']:.3f}"]
        for band in figures["by_length"]
    ]
    header = ["words", "tickets", "accuracy", "mean confidence"]
    return join([element("h3", "Short and long tickets"), table(f"{head}, by words in the ticket", header, rows)])


def separate_figures(figures: Mapping[str, Any]) -> list[Html]:
    if "eval_data" not in figures:
        return []
    measured = figures["eval_data"]
    sentence = (
        f"On {measured['n_tickets']:,} tickets of a file of their own, the finished model has an accuracy of "
        f"{measured['summary']['accuracy']:.3f} ({_range(measured['intervals']['accuracy'])}) and a macro-F1 of "
        f"{measured['summary']['macro_f1']:.3f} ({_range(measured['intervals']['macro_f1'])})."
    )
    return [element("h3", "Separate evaluation"), paragraph(sentence)]


def terms_table(findings: Findings, head: str) -> Html:
    rows = [
        [label, cell(*(join([element("code", term), " "]) for term in terms))]
        for label, terms in strongest_terms(findings.model, head).items()
    ]
    caption = f"{head}: what raises each label most above the others, the strongest first"
    return join([element("h3", "What speaks for each label"), table(caption, ["label", "terms"], rows, kind="terms")])


def confident_mistakes(findings: Findings, head: str) -> Html:
    """List the wrong validation answers with the highest confidence."""
    title = element("h3", "Wrong, and sure of it")
    validation = findings.partition.split.validation
    probabilities = findings.unseen[head][validation]
    labels = sorted(findings.metrics[head]["per_class"])
    given = [findings.tickets.labels[head][i] for i in validation]
    answers = [labels[i] for i in probabilities.argmax(axis=1)]
    wrong = np.array([answer != label for answer, label in zip(answers, given, strict=True)])
    confidence = np.where(wrong, probabilities.max(axis=1), -1.0)
    listed = np.argsort(-confidence, kind="stable")[: min(_MOST_TICKETS, int(wrong.sum()))]
    rows = [
        [
            str(findings.tickets.row_number(int(validation[i]))),
            given[i],
            answers[i],
            f"{confidence[i]:.2f}",
            *_quoted(findings, int(validation[i])),
        ]
        for i in listed.tolist()
    ]
    if not rows:
        return join([title, paragraph("No validation ticket was answered wrongly.")])
    header = ["row", "given label", "answered", "confidence", *(["ticket"] if findings.show_examples else [])]
    caption = f"The {len(rows)} wrong validation answers of the highest confidence, of {int(wrong.sum()):,} wrong ones"
    return join([title, table(caption, header, rows, kind="texts")])


def likely_label_errors(findings: Findings, head: str) -> Html:
    title = element("h3", "Labels worth a second look")
    suspects = findings.suspects[head]
    if not suspects:
        return join([title, paragraph("None was found.")])
    rows = [
        [
            str(findings.tickets.row_number(suspect.ticket)),
            suspect.given,
            suspect.suggested,
            f"{suspect.given_probability:.2f}",
            f"{suspect.suggested_probability:.2f}",
            *_quoted(findings, suspect.ticket),
        ]
        for suspect in suspects[:_MOST_TICKETS]
    ]
    sentence = (
        f"{len(suspects):,} tickets have a label that models trained without them firmly contradict. Some of these "
        "labels are wrong, others only look wrong to a model that counts words; all are in label_errors.csv."
    )
    header = ["row", "given", "suggested", "p given", "p suggested", *(["ticket"] if findings.show_examples else [])]
    caption = f"The first {len(rows)}, by how firmly the given label is contradicted"
    return join([title, paragraph(sentence), table(caption, header, rows, kind="texts")])


def _quoted(findings: Findings, ticket: int) -> list[str]:
    if not findings.show_examples:
        return []
    title, description = findings.tickets.titles[ticket].strip(), findings.tickets.descriptions[ticket].strip()
    if len(description) > _MOST_CHARACTERS:
        description = f"{description[:_MOST_CHARACTERS]}…"
    strong = [element("strong", title), " "] if title else []
    # A ticket may be written from right to left, or try to turn the page around.
    return [cell(*strong, description, attributes={"dir": "auto"})]


def _figure(picture: Html, caption: str) -> Html:
    return element("figure", picture, element("figcaption", caption))


def _threshold(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f}"


def _range(interval: list[float]) -> str:
    return f"95 %: {interval[0]:.3f} to {interval[1]:.3f}"


def _kind(name: str) -> dict[str, str | float]:
    return {"class": name}
