"""Plots as inline SVG: bars with intervals, curves, and the arcs of a lineage.

Sideways everything is a percentage and upwards everything is pixels, so a plot fits any width while its letters keep
their size; a curve lies in a nested SVG that stretches and its stroke does not. Colours are classes, which the page's
style sheet paints light or dark. Each plot has a title and a description for those who do not see it. All words are
escaped here: none of these functions may be given markup.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

POINTS = 400  # of one curve; more do not show
LEFT, RIGHT = 9.0, 98.5  # the sides of a plot, percent of its width
ROW = 34  # pixels of one row of the lineage


@dataclass(frozen=True)
class Bar:
    """One bar: a name, its value in words, and the value with its interval (None: it has none)."""

    name: str
    words: str
    value: float
    low: float | None = None
    high: float | None = None
    kind: str = "a"  # which of the page's colours: a, b, c


@dataclass(frozen=True)
class Curve:
    """One curve: a name and its points, sorted by x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: str = "a"


def bars(rows: Sequence[Bar], title: str, description: str, full: float | None = None, thickness: int = 14) -> Markup:
    """Horizontal bars from zero, a name and its words above each, a whisker for each interval.

    `full` is the value of a bar across the whole width; without one it is the largest that there is.
    """
    finite = [value for bar in rows for value in (bar.value, bar.high or 0.0) if math.isfinite(value)]
    longest = full or max([*finite, 0.0]) or 1.0
    pitch = 32 + thickness
    parts: list[Markup] = []
    for at, bar in enumerate(rows):
        top = at * pitch
        width = _percent(100 * max(bar.value, 0.0) / longest)
        parts.append(
            Markup(
                '<text class="name" x="0" y="{}">{}</text><text class="number" x="100%" y="{}">{}</text>'
                '<rect class="rail" x="0" y="{}" width="100%" height="{}" rx="2"/>'
                '<rect class="fill-{}" x="0" y="{}" width="{}" height="{}" rx="2"/>'
            ).format(top + 14, bar.name, top + 14, bar.words, top + 21, thickness, bar.kind, top + 21, width, thickness)
        )
        if bar.low is not None and bar.high is not None:
            low, high = _percent(100 * max(bar.low, 0.0) / longest), _percent(100 * max(bar.high, 0.0) / longest)
            middle = top + 21 + thickness // 2
            parts.append(
                Markup(
                    '<g class="whisker"><line x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
                    '<line x1="{0}" x2="{0}" y1="{3}" y2="{4}"/><line x1="{1}" x2="{1}" y1="{3}" y2="{4}"/></g>'
                ).format(low, high, middle, middle - 4, middle + 4)
            )
    return _figure(Markup("").join(parts), len(rows) * pitch, title, description)


def curves(
    rows: Sequence[Curve], title: str, description: str, x_label: str, words: Callable[[float], str], height: int = 260
) -> Markup:
    """Curves over one pair of axes. `words` writes a tick of the x axis. Raises ValueError without a single point."""
    points = [(x, y) for curve in rows for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
    if not points:
        raise ValueError(f"no points for the plot {title!r}")
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    y_ticks = ticks(min(y for _, y in points), _clipped_top([y for _, y in points]), 5)
    y_low, y_high = y_ticks[0], y_ticks[-1]
    x_span, y_span = (x_high - x_low) or 1.0, (y_high - y_low) or 1.0
    top, bottom = 8, height - 40
    parts = [_y_axis(y_ticks, top, bottom), _x_axis(x_low, x_high, bottom, words)]
    parts.append(
        Markup('<text class="label" x="{}%" y="{}" text-anchor="end">{}</text>').format(RIGHT, height - 6, x_label)
    )
    lines = []
    for curve in rows:
        path = " ".join(
            f"{1000 * (x - x_low) / x_span:.1f},{1000 * (y_high - min(y, y_high)) / y_span:.1f}"
            for x, y in thin(list(zip(curve.x, curve.y, strict=True)), POINTS)
            if math.isfinite(y)
        )
        lines.append(Markup('<polyline class="curve line-{}" points="{}"/>').format(curve.kind, path))
    parts.append(
        Markup(
            '<svg x="{}%" y="{}" width="{}%" height="{}" viewBox="0 0 1000 1000" preserveAspectRatio="none">{}</svg>'
        ).format(LEFT, top, _trim(RIGHT - LEFT), bottom - top, Markup("").join(lines))
    )
    return _figure(Markup("").join(parts), height, title, description)


def arcs(edges: Sequence[tuple[int, int]], kinds: Sequence[str], title: str, description: str) -> Markup:
    """A lineage as arcs: row i is at `ROW * i + ROW / 2`; `edges` are (from row, to row), downwards.

    Neighbours are joined by a straight line on the right, others by a half ellipse that is wider the farther it goes.
    """
    longest = max((to - start for start, to in edges), default=1)
    width, right = 118, 108
    parts: list[Markup] = []
    for start, to in sorted(edges, key=lambda edge: (edge[0] - edge[1], edge)):
        upper, lower = ROW * start + ROW / 2, ROW * to + ROW / 2
        reach = 0.0 if to - start == 1 else 12 + 86 * math.sqrt((to - start) / max(longest, 2))
        path = f"M{right} {upper:g}C{right - reach:.1f} {upper:g} {right - reach:.1f} {lower:g} {right} {lower:g}"
        parts.append(Markup('<path class="arc from-{}" d="{}"/>').format(kinds[start], path))
    for at, kind in enumerate(kinds):
        parts.append(
            Markup('<circle class="dot dot-{}" cx="{}" cy="{}" r="5"/>').format(kind, right, ROW * at + ROW // 2)
        )
    return _figure(Markup("").join(parts), ROW * len(kinds), title, description, width=str(width))


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers that enclose `low` to `high`: steps of 1, 2, 2.5 or 5 times a power of ten."""
    span = high - low
    if span <= 0:
        span = abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * round_ for round_ in (1, 2, 2.5, 5, 10, 20) if span / (power * round_) <= count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 10) for at in range(first, max(last, first + 1) + 1)]


def thin(points: list[tuple[float, float]], count: int) -> list[tuple[float, float]]:
    """At most `count` of the points, evenly, with the first and the last."""
    if len(points) <= count:
        return points
    return [points[round(at * (len(points) - 1) / (count - 1))] for at in range(count)]


def _clipped_top(values: list[float]) -> float:
    """The first few steps of a loss tower over the rest: the axis ends at the 99th percentile, the curve leaves it."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)))] if len(ordered) > 50 else ordered[-1]


def _y_axis(values: list[float], top: int, bottom: int) -> Markup:
    span = values[-1] - values[0]
    parts = []
    for value in values:
        y = bottom - (bottom - top) * (value - values[0]) / span
        parts.append(
            Markup(
                '<line class="grid" x1="{}%" x2="{}%" y1="{}" y2="{}"/>'
                '<text class="tick" x="{}%" y="{}" text-anchor="end" dx="-6">{}</text>'
            ).format(LEFT, RIGHT, _trim(y), _trim(y), LEFT, _trim(y + 4), f"{value:g}")
        )
    return Markup("").join(parts)


def _x_axis(low: float, high: float, bottom: int, words: Callable[[float], str]) -> Markup:
    span = (high - low) or 1.0
    parts = []
    for value in ticks(low, high, 4):
        if not low <= value <= high:
            continue
        x = LEFT + (RIGHT - LEFT) * (value - low) / span
        anchor = "end" if x > 94 else "start" if x < LEFT + 2 else "middle"
        parts.append(
            Markup('<text class="tick" x="{}%" y="{}" text-anchor="{}">{}</text>').format(
                _trim(x), bottom + 18, anchor, words(value)
            )
        )
    return Markup("").join(parts)


def _figure(body: Markup, height: int, title: str, description: str, width: str = "100%") -> Markup:
    return Markup(
        '<svg class="plot" role="img" width="{}" height="{}" aria-label="{}"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(width, height, title, title, escape(description), body)


def _percent(value: float) -> str:
    return f"{value:.2f}%" if math.isfinite(value) else "0%"


def _trim(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
