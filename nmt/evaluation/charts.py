"""Charts as SVG that stands inside a page: bars with intervals, histograms, scatters. No library, no scripts.

Colours are classes, so that the page decides them for light and for dark. What a chart shows must be on the page as a
table, too: for a screen reader a chart is one image with a summary. All are drawn for a phone's width and grow with
the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDTH = 400
"""Units across; a phone shows about as many pixels, so letters of 12 units can be read there."""
_LETTER = 6.6
"""Width of a letter of 12 units, about: for room beside labels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with the interval around it."""

    value: float
    low: float
    high: float


def bars(summary: str, labels: Sequence[tuple[str, str]], series: Sequence[Sequence[Bar]]) -> str:
    """Bars from left to right, a group a label, in it one for each series, with whiskers where an interval has a width.

    `labels`: of each group, a name and a small line below it. `series`: each as long as `labels`.
    """
    left = 10 + _LETTER * max(max(len(name), 0.85 * len(note)) for name, note in labels)
    thick, gap = 15, 14
    group = max(thick * len(series), 28) + gap
    height = group * len(labels) + 30
    ticks = nice_ticks(max(bar.high for some in series for bar in some))
    room = WIDTH - left - 46
    scale = room / ticks[-1]
    parts = [_grid_line(left + tick * scale, 0, height - 22, f"{tick:g}") for tick in ticks]
    for k, (name, note) in enumerate(labels):
        middle = k * group + (group - gap) / 2 + 8
        parts.append(f'<text class="label" x="{left - 8:.1f}" y="{middle:.1f}">{escape(name)}</text>')
        parts.append(f'<text class="note" x="{left - 8:.1f}" y="{middle + 13:.1f}">{escape(note)}</text>')
        top = k * group + (group - gap - thick * len(series)) / 2 + 8
        parts += [_bar(some[k], left, top + thick * j, thick - 3, scale, _series(j)) for j, some in enumerate(series)]
    return _svg(summary, height, parts)


def _bar(bar: Bar, left: float, top: float, thick: float, scale: float, name: str) -> str:
    middle = top + thick / 2
    low, high = left + bar.low * scale, left + bar.high * scale
    ends = f"M{low:.1f} {middle - 3:.1f}v6M{high:.1f} {middle - 3:.1f}v6"
    whisker = f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}{ends}"/>' if high > low else ""
    return (
        f'<rect class="bar {name}" x="{left:.1f}" y="{top:.1f}" width="{max(bar.value, 0) * scale:.1f}" '
        f'height="{thick:.1f}"/>{whisker}'
        f'<text class="value" x="{high + 5:.1f}" y="{middle + 4:.1f}">{bar.value:.1f}</text>'
    )


def histogram(summary: str, series: Sequence[Array], edges: Sequence[float], axis: str) -> str:
    """How many values lie between each two edges: the first series in full, the others as lines.

    `axis`: what the values are.
    """
    counts = [np.histogram(values, bins=np.array(edges))[0] for values in series]
    left, top, base, right = 44, 12, 214, WIDTH - 10
    ticks = nice_ticks(float(max(some.max() for some in counts)))
    across, up = (right - left) / (edges[-1] - edges[0]), (base - top) / ticks[-1]
    parts = [
        f'<path class="grid" d="M{left} {base - tick * up:.1f}H{right}"/>'
        f'<text class="tick end" x="{left - 6}" y="{base - tick * up + 4:.1f}">{tick:g}</text>'
        for tick in ticks
    ]
    for k, some in enumerate(counts):
        steps = "".join(
            f"V{base - count * up:.1f}H{left + (edge - edges[0]) * across:.1f}"
            for count, edge in zip(some.tolist(), edges[1:], strict=True)
        )
        parts.append(f'<path class="step {_series(k)}" d="M{left} {base}{steps}V{base}"/>')
    for edge in nice_ticks(edges[-1]):
        parts.append(f'<text class="tick" x="{left + (edge - edges[0]) * across:.1f}" y="{base + 16}">{edge:g}</text>')
    parts.append(f'<text class="axis" x="{(left + right) / 2}" y="{base + 34}">{escape(axis)}</text>')
    return _svg(summary, base + 42, parts)


def scatter(summary: str, across: Array, up: Array, axes: tuple[str, str]) -> str:
    """A dot a pair of scores between 0 and 100, and the diagonal on which both are the same.

    `axes`: names of what goes across and what goes up.
    """
    left, top, right = 50, 10, WIDTH - 12
    size = right - left
    base = top + size
    parts = []
    for tick in (0, 20, 40, 60, 80, 100):
        x, y = left + tick / 100 * size, base - tick / 100 * size
        parts.append(
            f'<path class="grid" d="M{left} {y:.1f}H{right}M{x:.1f} {top}V{base}"/>'
            f'<text class="tick end" x="{left - 6}" y="{y + 4:.1f}">{tick}</text>'
            f'<text class="tick" x="{x:.1f}" y="{base + 16}">{tick}</text>'
        )
    parts.append(f'<path class="diagonal" d="M{left} {base}L{right} {top}"/>')
    faint = " many" if len(across) > 1500 else ""
    dots = "".join(
        f'<circle cx="{left + x / 100 * size:.1f}" cy="{base - y / 100 * size:.1f}" r="2.6"/>'
        for x, y in zip(across.tolist(), up.tolist(), strict=True)
    )
    parts.append(f'<g class="dots{faint}">{dots}</g>')
    parts.append(f'<text class="axis" x="{left + size / 2:.1f}" y="{base + 34}">{escape(_shortened(axes[0]))}</text>')
    turned = f"rotate(-90 16 {top + size / 2:.1f})"
    parts.append(
        f'<text class="axis" transform="{turned}" x="16" y="{top + size / 2:.1f}">{escape(_shortened(axes[1]))}</text>'
    )
    return _svg(summary, base + 42, parts)


def nice_ticks(most: float) -> list[float]:
    """From 0 to `most` or a little more in steps of 1, 2 or 5 times a power of ten: 3 to 7 of them."""
    if not math.isfinite(most) or most <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(most / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) <= 5)
    return [step * k for k in range(math.ceil(round(most / step, 9)) + 1)]


def _grid_line(x: float, top: float, bottom: float, label: str) -> str:
    return (
        f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>'
        f'<text class="tick" x="{x:.1f}" y="{bottom + 16}">{escape(label)}</text>'
    )


def _series(number: int) -> str:
    """A class for one of five colours."""
    return f"s{number % 5}"


def _shortened(name: str, most: int = 48) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _svg(summary: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" role="img" aria-label="{escape(summary)}" viewBox="0 0 {WIDTH} {height:.0f}">'
        f"{''.join(parts)}</svg>"
    )
