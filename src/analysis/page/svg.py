"""Pictures of the page: seeds as dots with an interval, and attention maps."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from analysis.numbers import decimals, number
from analysis.statistics import Array, Interval

SHADES = 16  # of a map
CELL = 10  # units of a map's cell
MOST_LABELS = 24  # nodes of a map whose labels can be read


class Strip(NamedTuple):
    """One line of dots."""

    label: str
    colour: str  # class of the colour
    values: Sequence[float]
    centre: float
    interval: Interval


def dots(strips: Sequence[Strip]) -> str:
    """Dots, centre and interval of each strip on one common axis; it scales with the window."""
    numbers = [x for s in strips for x in (*s.values, *s.interval, s.centre) if np.isfinite(x)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    digits = decimals(np.array(numbers))
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin

    def at(x: float) -> str:
        return f"{100 * (x - low) / (high - low):.2f}%"

    lines = []
    for strip in strips:
        marks = [
            f'<circle cx="{at(x)}" cy="12" r="4"><title>{number(x, digits)}</title></circle>'
            for x in strip.values
            if np.isfinite(x)
        ]
        if np.isfinite(strip.interval).all():
            ends = f'x1="{at(strip.interval.low)}" x2="{at(strip.interval.high)}"'
            marks.insert(0, f'<line {ends} y1="12" y2="12"/>')
        if np.isfinite(strip.centre):
            marks.append(f'<line class="mean" x1="{at(strip.centre)}" x2="{at(strip.centre)}"')
            marks.append('y1="3" y2="21"/>')
        lines.append(
            f'<div class="strip {strip.colour}"><span>{escape(strip.label)}</span>'
            f'<svg role="img" aria-label="seeds of {escape(strip.label)}" height="24" '
            f'width="100%">{" ".join(marks)}</svg></div>'
        )
    ends_of_axis = f"<span>{number(low, digits)}</span><span>{number(high, digits)}</span>"
    return (
        f'<div class="strips">{"".join(lines)}<div class="axis"><span></span>'
        f"<p>{ends_of_axis}</p></div></div>"
    )


def attention_map(one: Array, labels: Sequence[str], top: float, title: str) -> str:
    """A map as squares, one path for each shade; rows attend, columns are attended to.

    Args:
        one: [P, P].
        labels: P.
        top: value of the darkest shade.
        title: above the map.
    """
    n, with_labels = len(one), len(one) <= MOST_LABELS
    shade = np.ceil(one / max(top, 1e-12) * SHADES).clip(0, SHADES).astype(int)
    edge = 8 + 5 * max(map(len, labels)) if with_labels else 2  # room for the labels
    paths = []
    for level in range(1, SHADES + 1):
        rows, columns = np.nonzero(shade == level)
        squares = "".join(
            f"M{edge + CELL * c} {edge + CELL * r}h10v10h-10z"
            for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        )
        if squares:
            paths.append(f'<path fill-opacity="{level / SHADES:.3g}" d="{squares}"/>')
    size, words = edge + CELL * n + 2, []
    for i, label in enumerate(labels if with_labels else ()):
        at, name = edge + CELL * i + 8, escape(label)
        words.append(f'<text x="{edge - 3}" y="{at}" text-anchor="end">{name}</text>')
        words.append(f'<text transform="translate({at} {edge - 3}) rotate(-90)">{name}</text>')
    frame = f'<rect x="{edge}" y="{edge}" width="{CELL * n}" height="{CELL * n}" class="frame"/>'
    return (
        f'<figure class="map"><figcaption>{escape(title)}</figcaption>'
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {size} {size}">'
        f"{''.join(paths)}{frame}{''.join(words)}</svg></figure>"
    )
