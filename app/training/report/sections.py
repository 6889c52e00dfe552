"""The sections of the report on one head: tables and captions around the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from app.charts.html import Html, cell, element, join, paragraph, scrolled, table
from app.charts.label_order import in_natural_order
from app.training.report.charts import heat_map, learning_curve_chart, precision_coverage_chart, reliability_diagram
from app.training.report.findings import Findings
from app.training.report.promises import overlap_sentence
from app.training.report.shown_intervals import shown_interval
from app.training.report.terms import strongest_terms

# A table of more labels than this is too wide to read; a picture takes its place.
_MOST_LABELS_IN_A_TABLE = 12
_MOST_CONFUSIONS = 20
# So that the page's ink can be read on every shade.
_DARKEST_SHADE = 0.5


def key_figures(figures: Mapping[str, Any]) -> Html:
    summary, intervals, calibration = figures["summary"], figures["intervals"], figures["calibration"]
    before = figures["calibration_out_of_fold"]["before"]["expected_calibration_error"]
    overlap = figures["overlap"]
    shown = [
        (
            f"{summary['accuracy']:.3f}",
            f"accuracy ({_range(intervals['accuracy'])})",
            "the share of tickets that get the right label",
        ),
        (
            f"{summary['macro_f1']:.3f}",
            f"macro-F1 ({_range(intervals['macro_f1'])})",
            "the mean of the labels' F1, in which a rare label counts as much as a frequent one",
        ),
        (
            f"{figures['baselines']['majority_accuracy']:.3f}",
            "accuracy of always the most frequent label",
            "what answering without reading would reach",
        ),
        (
            f"{calibration['expected_calibration_error']:.3f}",
            f"expected calibration error ({before:.3f} out of fold before calibration)",
            "how far a confidence is from the share of right answers, on average; 0 is best",
        ),
        (
            f"{calibration['brier_score']:.3f}",
            "Brier score",
            "the squared distance of the probabilities from the truth; 0 is best, 2 is worst",
        ),
        (
            f"{overlap['texts']} and {overlap['near_duplicates']}",
            f"validation texts and near-duplicates found in training, of {overlap['tickets_checked']:,}",
            "0 and 0 is best: nothing that was learned by heart is counted as known",
        ),
    ]
    boxes = [
        element("div", element("b", value), element("span", f"{name}: {meaning}"), attributes=_kind("figure"))
        for value, name, meaning in shown
    ]
    return element("div", *boxes, attributes=_kind("figures"))


def charts(findings: Findings, head: str) -> Html:
    figures = findings.metrics[head]
    validation = findings.measured_on(head)
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


def confusion(findings: Findings, head: str) -> Html:
    figures = findings.metrics[head]["confusion_matrix"]
    labels = in_natural_order(findings.metadata["label_distributions"][head])
    order = [figures["labels"].index(label) for label in labels]
    counts = np.array(figures["counts"])[np.ix_(order, order)]
    title = element("h3", "What is taken for what")
    if len(labels) <= _MOST_LABELS_IN_A_TABLE:
        return join([title, _matrix(counts, labels, head)])
    picture = _figure(heat_map(counts, labels, name=head), "Rows are true labels; a dark diagonal is what to hope for.")
    wide = scrolled(picture, name="Confusion matrix", kind="wide")
    return join([title, _top_confusions(counts, labels), wide])


def _matrix(counts: np.ndarray[Any, Any], labels: list[str], head: str) -> Html:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = [
        [label, *(_shaded(int(n), float(share)) for n, share in zip(row, row_shares, strict=True))]
        for label, row, row_shares in zip(labels, counts, shares, strict=True)
    ]
    caption = f"{head}: rows are true labels, columns are answers; below each count, its share of the row"
    return table(caption, ["true, answered", *labels], rows, kind="matrix")


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
    for label in in_natural_order(counts):
        n = counts[label]
        bar = element("span", attributes={"class": "meter", "style": f"width:{5 * n / most:.2f}rem"})
        measured, point = figures["per_class"][label], figures["operating_points"][label]
        scores = [f"{measured[key]:.2f}" if measured["support"] else "" for key in ("precision", "recall", "f1-score")]
        auto = "review only" if point["auto"] is None and point["suggest"] is None else _threshold(point["auto"])
        balance = cell(bar, f"{n:,}")
        rows.append([label, balance, f"{measured['support']:.0f}", *scores, auto])
    header = ["label", "all tickets", "held out", "precision", "recall", "F1", "acts alone from"]
    meaning = (
        "Precision: of the answers of this label, the share that is right. Recall: of the tickets of this label, the "
        "share that is answered so. F1: the harmonic mean of both. Acts alone from: the confidence from which on an "
        "answer needs no person."
    )
    labels = table(f"{head}: balance and figures of each label", header, rows, kind="labels")
    return join([element("h3", "Labels"), paragraph(meaning, kind="muted"), labels])


def lengths_table(figures: Mapping[str, Any], head: str) -> Html:
    rows = [
        [band["words"], f"{band['n_tickets']:,}", f"{band['accuracy']:.3f}", f"{band['mean_confidence']:.3f}"]
        for band in figures["by_length"]
    ]
    header = ["words", "tickets", "accuracy", "mean confidence"]
    caption = f"{head}, by words in the ticket: where accuracy is far below mean confidence, trust answers less"
    return join([element("h3", "Short and long tickets"), table(caption, header, rows)])


def separate_figures(figures: Mapping[str, Any]) -> list[Html]:
    if "eval_data" not in figures:
        return []
    measured = figures["eval_data"]
    sentence = (
        f"On {measured['n_tickets']:,} tickets of a file of their own, the finished model has an accuracy of "
        f"{measured['summary']['accuracy']:.3f} ({_range(measured['intervals']['accuracy'])}) and a macro-F1 of "
        f"{measured['summary']['macro_f1']:.3f} ({_range(measured['intervals']['macro_f1'])}). "
        f"{overlap_sentence(measured['overlap'])}"
    )
    return [element("h3", "Separate evaluation"), paragraph(sentence)]


def terms_table(findings: Findings, head: str) -> Html:
    terms = strongest_terms(findings.model, head)
    rows = [
        [label, cell(*(join([element("code", term), " "]) for term in terms[label]))]
        for label in in_natural_order(findings.metadata["label_distributions"][head])
    ]
    caption = f"{head}: what raises each label most above the others, the strongest first"
    return join([element("h3", "What speaks for each label"), table(caption, ["label", "terms"], rows, kind="terms")])


def _figure(picture: Html, caption: str) -> Html:
    return element("figure", picture, element("figcaption", caption))


def _threshold(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f}"


def _range(interval: list[float]) -> str:
    return f"95 %: {shown_interval(interval, digits=3)}"


def _kind(name: str) -> dict[str, str | float]:
    return {"class": name}
