"""Curves over one common axis as an SVG picture, one panel beside the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_WIDTH, _HEIGHT = 380, 240
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 34, 52, 36
_N_TICKS = 4
_STYLE = 'font-family="sans-serif" font-size="11" fill="#444"'
_COLOURS = ("#1b6ca8", "#c77f0a", "#b3261e")


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    values: Sequence[float]


def plot(x: Sequence[float], panels: Mapping[str, Sequence[Curve]], *, x_name: str) -> str:
    """Return the picture; both axes begin at zero."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH * len(panels)} {_HEIGHT}" {_STYLE}>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for i, (title, curves) in enumerate(panels.items()):
        parts += [f'<g transform="translate({i * _WIDTH},0)">', *_panel(x, title, curves, x_name), "</g>"]
    return "\n".join([*parts, "</svg>\n"])


def _panel(x: Sequence[float], title: str, curves: Sequence[Curve], x_name: str) -> Iterator[str]:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    top = max(max(curve.values) for curve in curves) * 1.1 or 1.0
    right = max(x)

    def place(value_x: float, value_y: float) -> tuple[float, float]:
        return _LEFT + width * value_x / right, _TOP + height * (1 - value_y / top)

    yield f'<text x="{_LEFT}" y="18" font-size="13" fill="#111">{title}</text>'
    for tick in range(_N_TICKS + 1):
        value = top * tick / _N_TICKS
        left_x, y = place(0, value)
        yield f'<line x1="{left_x}" y1="{y:.1f}" x2="{left_x + width}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{left_x - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.3g}</text>'
    for value in x:
        tick_x, y = place(value, 0)
        yield f'<text x="{tick_x:.1f}" y="{y + 15:.1f}" text-anchor="middle">{value:g}</text>'
    yield f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{x_name}</text>'
    labels_at = _apart([place(0, curve.values[-1])[1] for curve in curves])
    for curve, colour, label_y in zip(curves, _COLOURS, labels_at, strict=False):
        points = [place(value_x, value) for value_x, value in zip(x, curve.values, strict=True)]
        line = " ".join(f"{point_x:.1f},{point_y:.1f}" for point_x, point_y in points)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for point_x, point_y in points:
            yield f'<circle cx="{point_x:.1f}" cy="{point_y:.1f}" r="2.5" fill="{colour}"/>'
        yield f'<text x="{points[-1][0] + 6:.1f}" y="{label_y + 4:.1f}" fill="{colour}">{curve.name}</text>'


def _apart(places: Sequence[float], *, distance: float = 12) -> list[float]:
    """Return ``places`` moved up until none is closer than ``distance`` to another."""
    order = sorted(range(len(places)), key=places.__getitem__, reverse=True)
    moved = list(places)
    for lower, upper in pairwise(order):
        moved[upper] = min(moved[upper], moved[lower] - distance)
    return moved
