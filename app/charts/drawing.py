"""What charts are drawn with: a rectangle of data coordinates, axes, lines and marks, as SVG.

No element has a colour: the classes ``grid``, ``axis``, ``ideal``, ``curve``, ``point`` and so on get theirs from the
style sheet of the page, so that a chart is light or dark as the page is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.charts.html import Html, element

WIDTH: Final = 440.0
HEIGHT: Final = 300.0
LEFT: Final = 52.0
RIGHT: Final = 26.0
TOP: Final = 14.0
BOTTOM: Final = 46.0

_MOST_STEPS: Final = 6
_LARGEST_STEP: Final = 0.2
_LONG_NUMBER: Final = 10_000


@dataclass(frozen=True, slots=True)
class Plot:
    """A rectangle of data coordinates; ``x`` and ``y`` turn them into those of the picture."""

    x_from: float
    x_to: float
    y_from: float
    y_to: float
    bottom: float = HEIGHT - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_from) / (self.x_to - self.x_from) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y_from) / (self.y_to - self.y_from) * (self.bottom - TOP)

    def line(self, kind: str, points: Sequence[tuple[float, float]]) -> Html:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return element("polyline", attributes={"class": kind, "points": path})

    def rules(self, values: Sequence[float]) -> list[Html]:
        """Return horizontal rules with their shares written beside them."""
        drawn = []
        for value in values:
            y = self.y(value)
            drawn.append(line("grid", LEFT, y, WIDTH - RIGHT, y))
            drawn.append(written(f"{100 * value:.0f} %", LEFT - 6, y + 4, anchor="end"))
        return drawn

    def x_axis(self, marks: Sequence[tuple[float, str]], name: str, *, at: float) -> list[Html]:
        drawn = [line("axis", LEFT, at, WIDTH - RIGHT, at)]
        drawn += [written(label, self.x(value), at + 18) for value, label in marks]
        return [*drawn, written(name, (LEFT + WIDTH - RIGHT) / 2, at + 37)]


def picture(title: str, spoken: str, drawn: Sequence[Html], *, width: float = WIDTH, height: float = HEIGHT) -> Html:
    attributes = {"role": "img", "viewBox": f"0 0 {width:.0f} {height:.0f}", "aria-label": f"{title}. {spoken}"}
    return element("svg", element("title", title), element("desc", spoken), *drawn, attributes=attributes)


def written(content: str, x: float, y: float, *, anchor: str = "middle", kind: str = "") -> Html:
    attributes: dict[str, str | float] = {"x": x, "y": y, "text-anchor": anchor}
    return element("text", content, attributes=attributes | ({"class": kind} if kind else {}))


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Html:
    return element("line", attributes={"class": kind, "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def rectangle(kind: str, x: float, y: float, width: float, height: float) -> Html:
    return element("rect", attributes={"class": kind, "x": x, "y": y, "width": width, "height": height})


def circle(kind: str, x: float, y: float, radius: float) -> Html:
    return element("circle", attributes={"class": kind, "cx": x, "cy": y, "r": radius})


def marks(lowest: float, highest: float) -> list[float]:
    """Return at most seven round values from ``highest`` down to ``lowest``."""
    step = next(step for step in (0.05, 0.1, 0.2) if highest - lowest <= _MOST_STEPS * step or step == _LARGEST_STEP)
    return [highest - step * i for i in range(int((highest - lowest) / step + 1.001))]


def shortened(n: int) -> str:
    return str(n) if n < _LONG_NUMBER else f"{n / 1000:.0f}k"


def cut(label: str, length: int) -> str:
    return label if len(label) <= length else f"{label[: length - 1]}…"
