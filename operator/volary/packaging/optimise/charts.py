"""Charts as SVG text. Colours and fonts are classes of the page around, so that they follow its light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 720
_LEFT, _RIGHT = 220, 110  # names and values of bars
_ROW = 26
_PLOT_LEFT, _PLOT_RIGHT, _PLOT_TOP, _PLOT_HEIGHT = 46, 20, 12, 200
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; `kind` is the class of its colour."""

    name: str
    value: float
    shown: str
    kind: str = "after"


@dataclass(frozen=True, slots=True)
class Line:
    """The values of one distribution."""

    kind: str
    values: Sequence[float]


def bars(title: str, found: Sequence[Bar], *, most: float | None = None) -> str:
    """Horizontal bars from 0 to `most`, or to the largest value."""
    finite = [bar.value for bar in found if math.isfinite(bar.value)]
    top = most or max(finite, default=0) or 1
    room = _WIDTH - _LEFT - _RIGHT
    parts = []
    for index, bar in enumerate(found):
        y, width = index * _ROW, room * min(1.0, bar.value / top)
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y + 17}" class="end">{escape(_short(bar.name))}<title>{escape(bar.name)}</title></text>'
            f'<rect x="{_LEFT}" y="{y + 5}" width="{width:.1f}" height="{_ROW - 10}" rx="2" class="{bar.kind}"/>'
            f'<text x="{_LEFT + width + 8:.1f}" y="{y + 17}">{escape(bar.shown)}</text>'
        )
    return _svg(title, len(found) * _ROW, parts)


def cumulative(title: str, lines: Sequence[Line], unit: str) -> str:
    """Which share of the values is at most x: no bins to choose, and percentiles can be read off.

    The axis ends a little after the 99th percentile of the slower line: one hiccup would squeeze all the rest.
    """
    sorted_ = [(line.kind, sorted(line.values)) for line in lines]
    low = min(values[0] for _, values in sorted_)
    high = max(values[max(0, math.ceil(0.99 * len(values)) - 1)] for _, values in sorted_)
    ticks = axis(max(0.0, low - (high - low) * 0.08), high + (high - low) * 0.08 or high * 1.1)
    start, end = ticks[0], ticks[-1]
    room = _WIDTH - _PLOT_LEFT - _PLOT_RIGHT
    parts = [_grid_y(share) for share in (0, 0.5, 0.99)]
    for tick in ticks:
        x = _PLOT_LEFT + room * (tick - start) / (end - start)
        parts.append(f'<text x="{x:.1f}" y="{_PLOT_TOP + _PLOT_HEIGHT + 20}" class="middle">{tick:g}</text>')
    parts.append(f'<text x="{_WIDTH - _PLOT_RIGHT}" y="{_PLOT_TOP + _PLOT_HEIGHT + 38}" class="end">{escape(unit)}</text>')
    for kind, values in sorted_:
        points = _steps([(value - start) / (end - start) for value in values])
        path = " ".join(f"{_PLOT_LEFT + room * x:.1f},{_y(share):.1f}" for x, share in points)
        parts.append(f'<polyline points="{path}" class="line {kind}"/>')
    return _svg(title, _PLOT_TOP + _PLOT_HEIGHT + 44, parts)


def axis(low: float, high: float) -> list[float]:
    """Round numbers around [low, high], some 4 to 8 of them: 0.31 to 0.9 -> 0.3, 0.4, ... 0.9."""
    if high - low <= 1e-6 * high:  # one value: some room around it
        low, high = 0.9 * low, 1.1 * high or 1.0
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def _steps(positions: Sequence[float]) -> list[tuple[float, float]]:
    """A stair: at each value it rises by 1 / n. What is beyond the axis is left out: the line ends below 1."""
    count, share = len(positions), 0.0
    points = [(0.0, 0.0)]
    for index, x in enumerate(positions):
        if x > 1:
            break
        points.append((x, share))
        share = (index + 1) / count
        points.append((x, share))
    return [*points, (1.0, share)]


def _grid_y(share: float) -> str:
    y = _y(share)
    word = f"{share:.0%}"
    return (
        f'<line x1="{_PLOT_LEFT}" x2="{_WIDTH - _PLOT_RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{_PLOT_LEFT - 8}" y="{y + 4:.1f}" class="end">{word}</text>'
    )


def _y(share: float) -> float:
    return _PLOT_TOP + _PLOT_HEIGHT * (1 - share)


def _short(name: str, room: int = 30) -> str:
    """The end tells layers apart: `encoder.layer.11.attention.query.weight`."""
    return name if len(name) <= room else f"…{name[1 - room :]}"


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
