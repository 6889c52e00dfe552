"""The pictures of the report: small functions from the figures of a training run to SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.charts.drawing import (
    BOTTOM,
    HEIGHT,
    Plot,
    circle,
    cut,
    line,
    marks,
    picture,
    rectangle,
    shortened,
    written,
)
from app.charts.html import Html, element

_STRIP = 44.0
_MOST_POINTS = 200
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_QUARTER_MARKS = tuple((value, f"{100 * value:.0f} %") for value in _QUARTERS)


def reliability_diagram(bins: Sequence[Mapping[str, float]], *, name: str) -> Html:
    """Return accuracy against confidence, bin by bin, above how many tickets each bin has."""
    base = HEIGHT - BOTTOM
    plot = Plot(0, 1, 0, 1, bottom=base - _STRIP - 8)
    drawn = [*plot.rules(_QUARTERS), plot.line("ideal", ((0, 0), (1, 1)))]
    largest = max(bin_["n_tickets"] for bin_ in bins)
    for bin_ in bins:
        left, right = plot.x(bin_["from"]), plot.x(bin_["to"])
        tall = bin_["n_tickets"] / largest * (_STRIP - 12)
        drawn.append(rectangle("count", left + 1, base - tall, right - left - 2, tall))
        drawn.append(written(shortened(int(bin_["n_tickets"])), (left + right) / 2, base - tall - 2, kind="small"))
        radius = 3 + 4 * math.sqrt(bin_["n_tickets"] / largest)
        drawn.append(circle("point", plot.x(bin_["confidence"]), plot.y(bin_["accuracy"]), radius))
    drawn.append(plot.line("curve", [(bin_["confidence"], bin_["accuracy"]) for bin_ in bins]))
    drawn += plot.x_axis(_QUARTER_MARKS, "confidence (bars: tickets in each bin)", at=base)
    spoken = "; ".join(
        f"confidence {100 * b['confidence']:.0f} %, right {100 * b['accuracy']:.0f} %, {b['n_tickets']:.0f} tickets"
        for b in bins
    )
    return picture(f"Reliability diagram of {name}", spoken, drawn)


def precision_coverage_chart(
    confidence: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    target: float,
    auto: Mapping[str, Any],
    name: str,
) -> Html:
    """Return the share of right answers among the most confident ones, against how many those are.

    ``auto`` has the coverage and the precision of the chosen thresholds.
    """
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    picked = np.unique(np.linspace(0, len(order) - 1, _MOST_POINTS).round().astype(int))
    # The first few answers jump between 0 and 1 and say nothing.
    picked = picked[picked >= min(10, len(order) - 1)]
    points = [((i + 1) / len(order), float(precision[i])) for i in picked.tolist()]
    lowest = min([target, *(y for _, y in points), *([auto["precision"]] if auto["precision"] is not None else [])])
    floor = max(0.0, math.floor(lowest * 10 - 0.5) / 10)
    plot = Plot(0, 1, floor, 1)
    drawn = plot.rules(marks(floor, 1))
    drawn += [plot.line("ideal", ((0, target), (1, target))), plot.line("curve", points)]
    chosen = "No threshold was chosen."
    if auto["precision"] is not None:
        drawn.append(circle("mark", plot.x(auto["coverage"]), plot.y(auto["precision"]), 6))
        chosen = f"Chosen: {100 * auto['coverage']:.0f} % of tickets, {100 * auto['precision']:.1f} % of them right."
    drawn += plot.x_axis(_QUARTER_MARKS, "share of tickets answered, most confident first", at=plot.bottom)
    spoken = f"{chosen} Answering every ticket: {100 * points[-1][1]:.1f} % right."
    return picture(f"Precision against coverage of {name}", spoken, drawn)


def learning_curve_chart(points: Sequence[Mapping[str, float]], *, name: str) -> Html:
    """Return accuracy and macro-F1 against the number of training tickets, which doubles from mark to mark."""
    sizes = [math.log2(point["n_tickets"]) for point in points]
    values = [point[key] for point in points for key in ("accuracy", "macro_f1")]
    floor = max(0.0, math.floor(min(values) * 10 - 0.5) / 10)
    top = min(1.0, math.ceil(max(values) * 10 + 0.5) / 10)
    spread = max(sizes[-1] - sizes[0], 1.0)
    plot = Plot(sizes[0] - 0.12 * spread, sizes[-1] + 0.12 * spread, floor, top)
    drawn = plot.rules(marks(floor, top))
    for key, curve, point_kind, offset in (("accuracy", "curve", "point", -9), ("macro_f1", "curve2", "point2", 18)):
        drawn.append(plot.line(curve, [(x, point[key]) for x, point in zip(sizes, points, strict=True)]))
        for x, point in zip(sizes, points, strict=True):
            drawn.append(circle(point_kind, plot.x(x), plot.y(point[key]), 4))
            drawn.append(written(f"{100 * point[key]:.1f}", plot.x(x), plot.y(point[key]) + offset))
    sizes_marked = [(x, f"{point['n_tickets']:,.0f}") for x, point in zip(sizes, points, strict=True)]
    drawn += plot.x_axis(sizes_marked, "training tickets (solid: accuracy, dashed: macro-F1)", at=plot.bottom)
    spoken = "; ".join(
        f"{p['n_tickets']:,.0f} tickets: accuracy {p['accuracy']:.3f}, macro-F1 {p['macro_f1']:.3f}" for p in points
    )
    return picture(f"Learning curve of {name}", spoken, drawn)


def heat_map(counts: NDArray[np.int64], labels: Sequence[str], *, name: str) -> Html:
    """Return a confusion matrix of many labels: a row for each true label, as dark as its share of that row."""
    cell, margin = 9.0, 190.0
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = cell * len(labels)
    drawn = []
    for row, label in enumerate(labels):
        y = row * cell
        drawn.append(written(cut(label, 40), margin - 4, y + 7.5, anchor="end", kind="tiny"))
        if row % 5 == 0:
            drawn.append(line("grid", margin, y, margin + size, y))
            drawn.append(line("grid", margin + y, 0, margin + y, size))
    for row, column in zip(*np.nonzero(counts), strict=True):
        # The square root, so that a confusion of one ticket in fifty is still seen.
        opacity = max(0.12, math.sqrt(shares[row, column]))
        attributes: dict[str, str | float] = {
            "fill-opacity": opacity,
            "x": margin + column * cell,
            "y": row * cell,
            "width": cell,
            "height": cell,
        }
        title = f"{labels[row]} answered as {labels[column]}: {counts[row, column]}"
        drawn.append(element("rect", element("title", title), attributes={"class": "cell", **attributes}))
    drawn.append(written("answered, in the same order from left to right", margin + size / 2, size + 16))
    spoken = f"Rows are true labels, columns are answers; {int(np.trace(counts))} of {int(counts.sum())} are right."
    return picture(f"Confusion of {name}", spoken, drawn, width=margin + size + 2, height=size + 24)
