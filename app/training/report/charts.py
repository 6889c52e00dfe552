"""The pictures of the report: small functions from numbers to inline SVG, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.report.html import Html, element

_WIDTH, _HEIGHT = 440.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 26.0, 14.0, 46.0
_STRIP = 44.0
_MOST_POINTS = 200
_MOST_STEPS, _LARGEST_STEP = 6, 0.2
_LONG_NUMBER = 10_000
_QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)
_QUARTER_MARKS = tuple((value, f"{100 * value:.0f} %") for value in _QUARTERS)


@dataclass(frozen=True, slots=True)
class _Plot:
    """A rectangle of data coordinates; ``x`` and ``y`` turn them into those of the picture."""

    x_from: float
    x_to: float
    y_from: float
    y_to: float
    bottom: float = _HEIGHT - _BOTTOM

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_from) / (self.x_to - self.x_from) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y_from) / (self.y_to - self.y_from) * (self.bottom - _TOP)

    def line(self, kind: str, points: Sequence[tuple[float, float]]) -> Html:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return element("polyline", attributes={"class": kind, "points": path})

    def rules(self, values: Sequence[float]) -> list[Html]:
        """Return horizontal rules with their shares written beside them."""
        drawn = []
        for value in values:
            y = self.y(value)
            drawn.append(_line("grid", _LEFT, y, _WIDTH - _RIGHT, y))
            drawn.append(_text(f"{100 * value:.0f} %", _LEFT - 6, y + 4, anchor="end"))
        return drawn

    def x_axis(self, marks: Sequence[tuple[float, str]], name: str, *, at: float) -> list[Html]:
        drawn = [_line("axis", _LEFT, at, _WIDTH - _RIGHT, at)]
        drawn += [_text(label, self.x(value), at + 18) for value, label in marks]
        return [*drawn, _text(name, (_LEFT + _WIDTH - _RIGHT) / 2, at + 37)]


def reliability_diagram(bins: Sequence[Mapping[str, float]], *, name: str) -> Html:
    """Return accuracy against confidence, bin by bin, above how many tickets each bin has."""
    base = _HEIGHT - _BOTTOM
    plot = _Plot(0, 1, 0, 1, bottom=base - _STRIP - 8)
    drawn = [*plot.rules(_QUARTERS), plot.line("ideal", ((0, 0), (1, 1)))]
    largest = max(bin_["n_tickets"] for bin_ in bins)
    for bin_ in bins:
        left, right = plot.x(bin_["from"]), plot.x(bin_["to"])
        tall = bin_["n_tickets"] / largest * (_STRIP - 12)
        drawn.append(_rectangle("count", left + 1, base - tall, right - left - 2, tall))
        drawn.append(_text(_short(int(bin_["n_tickets"])), (left + right) / 2, base - tall - 2, kind="small"))
        radius = 3 + 4 * math.sqrt(bin_["n_tickets"] / largest)
        drawn.append(_circle("point", plot.x(bin_["confidence"]), plot.y(bin_["accuracy"]), radius))
    drawn.append(plot.line("curve", [(bin_["confidence"], bin_["accuracy"]) for bin_ in bins]))
    drawn += plot.x_axis(_QUARTER_MARKS, "confidence (bars: tickets in each bin)", at=base)
    spoken = "; ".join(
        f"confidence {100 * b['confidence']:.0f} %, right {100 * b['accuracy']:.0f} %, {b['n_tickets']:.0f} tickets"
        for b in bins
    )
    return _picture(f"Reliability diagram of {name}", spoken, drawn)


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
    plot = _Plot(0, 1, floor, 1)
    drawn = plot.rules(_marks(floor, 1))
    drawn += [plot.line("ideal", ((0, target), (1, target))), plot.line("curve", points)]
    chosen = "No threshold was chosen."
    if auto["precision"] is not None:
        drawn.append(_circle("mark", plot.x(auto["coverage"]), plot.y(auto["precision"]), 6))
        chosen = f"Chosen: {100 * auto['coverage']:.0f} % of tickets, {100 * auto['precision']:.1f} % of them right."
    drawn += plot.x_axis(_QUARTER_MARKS, "share of tickets answered, most confident first", at=plot.bottom)
    spoken = f"{chosen} Answering every ticket: {100 * points[-1][1]:.1f} % right."
    return _picture(f"Precision against coverage of {name}", spoken, drawn)


def learning_curve_chart(points: Sequence[Mapping[str, float]], *, name: str) -> Html:
    """Return accuracy and macro-F1 against the number of training tickets, which doubles from mark to mark."""
    sizes = [math.log2(point["n_tickets"]) for point in points]
    values = [point[key] for point in points for key in ("accuracy", "macro_f1")]
    floor = max(0.0, math.floor(min(values) * 10 - 0.5) / 10)
    top = min(1.0, math.ceil(max(values) * 10 + 0.5) / 10)
    spread = max(sizes[-1] - sizes[0], 1.0)
    plot = _Plot(sizes[0] - 0.12 * spread, sizes[-1] + 0.12 * spread, floor, top)
    drawn = plot.rules(_marks(floor, top))
    for key, curve, point_kind, offset in (("accuracy", "curve", "point", -9), ("macro_f1", "curve2", "point2", 18)):
        drawn.append(plot.line(curve, [(x, point[key]) for x, point in zip(sizes, points, strict=True)]))
        for x, point in zip(sizes, points, strict=True):
            drawn.append(_circle(point_kind, plot.x(x), plot.y(point[key]), 4))
            drawn.append(_text(f"{100 * point[key]:.1f}", plot.x(x), plot.y(point[key]) + offset))
    marks = [(x, f"{point['n_tickets']:,.0f}") for x, point in zip(sizes, points, strict=True)]
    drawn += plot.x_axis(marks, "training tickets (solid: accuracy, dashed: macro-F1)", at=plot.bottom)
    spoken = "; ".join(
        f"{p['n_tickets']:,.0f} tickets: accuracy {p['accuracy']:.3f}, macro-F1 {p['macro_f1']:.3f}" for p in points
    )
    return _picture(f"Learning curve of {name}", spoken, drawn)


def heat_map(counts: NDArray[np.int64], labels: Sequence[str], *, name: str) -> Html:
    """Return a confusion matrix of many labels: a row for each true label, as dark as its share of that row."""
    cell, margin = 9.0, 190.0
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = cell * len(labels)
    drawn = []
    for row, label in enumerate(labels):
        y = row * cell
        drawn.append(_text(_cut(label, 40), margin - 4, y + 7.5, anchor="end", kind="tiny"))
        if row % 5 == 0:
            drawn.append(_line("grid", margin, y, margin + size, y))
            drawn.append(_line("grid", margin + y, 0, margin + y, size))
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
    drawn.append(_text("answered, in the same order from left to right", margin + size / 2, size + 16))
    spoken = f"Rows are true labels, columns are answers; {int(np.trace(counts))} of {int(counts.sum())} are right."
    return _picture(f"Confusion of {name}", spoken, drawn, width=margin + size + 2, height=size + 24)


def _picture(title: str, spoken: str, drawn: Sequence[Html], *, width: float = _WIDTH, height: float = _HEIGHT) -> Html:
    attributes = {"role": "img", "viewBox": f"0 0 {width:.0f} {height:.0f}", "aria-label": f"{title}. {spoken}"}
    return element("svg", element("title", title), element("desc", spoken), *drawn, attributes=attributes)


def _text(content: str, x: float, y: float, *, anchor: str = "middle", kind: str = "") -> Html:
    attributes: dict[str, str | float] = {"x": x, "y": y, "text-anchor": anchor}
    return element("text", content, attributes=attributes | ({"class": kind} if kind else {}))


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    return element("line", attributes={"class": kind, "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> Html:
    return element("rect", attributes={"class": kind, "x": x, "y": y, "width": width, "height": height})


def _circle(kind: str, x: float, y: float, radius: float) -> Html:
    return element("circle", attributes={"class": kind, "cx": x, "cy": y, "r": radius})


def _marks(lowest: float, highest: float) -> list[float]:
    """Return at most seven round values from ``highest`` down to ``lowest``."""
    step = next(step for step in (0.05, 0.1, 0.2) if highest - lowest <= _MOST_STEPS * step or step == _LARGEST_STEP)
    return [highest - step * i for i in range(int((highest - lowest) / step + 1.001))]


def _short(n: int) -> str:
    return str(n) if n < _LONG_NUMBER else f"{n / 1000:.0f}k"


def _cut(label: str, length: int) -> str:
    return label if len(label) <= length else f"{label[: length - 1]}…"
