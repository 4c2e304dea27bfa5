"""Latency over load as a picture: a line for each broker, a panel for each QoS, both axes in powers of ten.

Belongs here: the SVG. Does not belong here: measuring, bars (`chart`), Markdown (`pages`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import ceil, floor, log10

from interop.bench.document import Entry
from interop.bench.result import Result
from interop.bench.table import short

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 480, 300, 70, 60, 90
_COLOURS = ("#2f7ebc", "#c8553d", "#5b8a3c", "#8a5aa5", "#b08a1e", "#52606d")
_CARRIED = 0.95
"""The part of what was offered that has to get through for a point to be filled."""

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 } .quiet { fill: #52606d }
.grid { stroke: #d5dbe1 } .line { fill: none; stroke-width: 2 }
"""


def curves(entries: Sequence[Entry]) -> str:
    """The 99th percentile over the rate, of all entries that measured latency; a hollow point was not carried."""
    loads = [each for each in entries if each.result.offered_per_second]
    brokers = list(dict.fromkeys(result.broker for each in loads for result in (each.result, *each.others)))
    panels = list(dict.fromkeys(_panel(each) for each in loads))
    points = [point for each in loads for result in (each.result, *each.others) if (point := _point(result))]
    if not points:
        return '<svg xmlns="http://www.w3.org/2000/svg"></svg>\n'
    axes = _Axes([x for x, _ in points], [y for _, y in points])
    width = _LEFT + len(panels) * (_WIDTH + _GAP)
    drawn = "".join(
        f'<g transform="translate({_LEFT + index * (_WIDTH + _GAP)},{_TOP})">{axes.grid(name)}'
        + "".join(_line(axes, broker, colour, loads, name) for broker, colour in zip(brokers, _cycle(), strict=False))
        + "</g>"
        for index, name in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_TOP + _HEIGHT + 50}" role="img" '
        f'aria-label="99th percentile of latency over the rate"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{_legend(brokers)}{drawn}</svg>\n'
    )


class _Axes:
    """From rates and microseconds to places, on axes that hold all of them."""

    def __init__(self, rates: Iterable[float], latencies_us: Iterable[float]) -> None:
        self._x = _decades(rates)
        self._y = _decades(latencies_us)

    def place(self, rate: float, latency_us: float) -> tuple[float, float]:
        """Right of and below the panel's upper left corner."""
        (left, right), (low, high) = self._x, self._y
        x = (log10(rate) - left) / (right - left) * _WIDTH
        return x, _HEIGHT - (log10(latency_us) - low) / (high - low) * _HEIGHT

    def grid(self, name: str) -> str:
        """Lines at powers of ten with their words, and the panel's name."""
        drawn = [f'<text x="0" y="-12">{escape(name)}: 99th percentile, over messages/s</text>']
        for decade in range(self._x[0], self._x[1] + 1):
            x, _ = self.place(10.0**decade, 10.0 ** self._y[0])
            drawn.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}"/>')
            drawn.append(
                f'<text class="quiet" x="{x:.1f}" y="{_HEIGHT + 20}" text-anchor="middle">{short(10.0**decade)}</text>'
            )
        for decade in range(self._y[0], self._y[1] + 1):
            _, y = self.place(10.0 ** self._x[0], 10.0**decade)
            drawn.append(f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
            words = _microseconds(10.0**decade)
            drawn.append(f'<text class="quiet" x="-8" y="{y + 4:.1f}" text-anchor="end">{words}</text>')
        return "".join(drawn)


def _decades(values: Iterable[float]) -> tuple[int, int]:
    ordered = sorted(values)
    low = floor(log10(ordered[0]))
    return low, max(low + 1, ceil(log10(ordered[-1])))


def _line(axes: _Axes, broker: str, colour: str, loads: Sequence[Entry], panel: str) -> str:
    results = [
        result
        for each in loads
        if _panel(each) == panel
        for result in (each.result, *each.others)
        if result.broker == broker and _point(result)
    ]
    places = [(axes.place(*point), result) for result in results if (point := _point(result))]
    if not places:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for (x, y), _ in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" stroke="{colour}" stroke-width="2" '
        f'fill="{colour if result.per_second >= _CARRIED * result.offered_per_second else "#fff"}"/>'
        for (x, y), result in places
    )
    return f'<polyline class="line" stroke="{colour}" points="{path}"/>{dots}'


def _point(result: Result) -> tuple[float, float] | None:
    return (result.offered_per_second, result.latency.p99_us) if result.latency else None


def _panel(entry: Entry) -> str:
    return entry.row.partition(",")[0]


def _legend(brokers: Sequence[str]) -> str:
    return "".join(
        f'<rect x="{_LEFT + index * 150}" y="12" width="12" height="12" fill="{colour}"/>'
        f'<text x="{_LEFT + index * 150 + 18}" y="23">{escape(broker)}</text>'
        for index, (broker, colour) in enumerate(zip(brokers, _cycle(), strict=False))
    ) + (f'<text class="quiet" x="{_LEFT + len(brokers) * 150}" y="23">hollow: not all of it got through</text>')


def _cycle() -> Iterable[str]:
    while True:
        yield from _COLOURS


def _microseconds(value: float) -> str:
    """`100 us`, `1 ms`, `10 s`."""
    for limit, unit in ((1e6, "s"), (1e3, "ms")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value:g} us"
