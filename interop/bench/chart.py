"""Results as a picture: bars in an SVG, in an HTML page that needs nothing else.

Belongs here: the page of `--html`. Does not belong here: measuring, Markdown (`pages`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10

from interop.bench.document import Document, Entry
from interop.bench.table import figure_text, ratio_words

_WIDTH, _LABEL, _BAR, _ROW = 1180, 500, 420, 30
_DECADES = (-1, 3)
"""The axis of ratios: from a tenth to a thousand times, in powers of ten."""

_STYLE = """
body { font: 14px system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; color: #1f2933; background: #fff }
svg text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.grid { stroke: #d5dbe1 } .one { stroke: #52606d } .ours { fill: #2f7ebc } .short { fill: #c8553d }
.aim { stroke: #1f2933; stroke-width: 2 } .goal { stroke-dasharray: 3 2 } .quiet { fill: #52606d }
"""


def page(run: Document) -> str:
    """The whole page."""
    machine = run.machine
    about = f"{run.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}"
    legend = (
        "Each bar is the ratio to the best of the other brokers, on a logarithmic axis; the solid mark is what must be "
        "reached, the dashed one the goal. Where less is better (latency, memory) so is the shorter bar."
        if any(each.others for each in run.entries)
        else "Each bar is the figure beside it, against the largest of its kind."
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mqtt-interop bench</title>'
        f"<style>{_STYLE}</style><h1>mqtt-interop bench</h1><p>{escape(about)}</p><p>{escape(legend)}</p>"
        f"{svg(run.entries)}</html>\n"
    )


def svg(entries: Sequence[Entry]) -> str:
    """The bars, a row for each entry."""
    height = _ROW * len(entries) + 40
    rows = "".join(_row(each, 30 + index * _ROW, entries) for index, each in enumerate(entries))
    grid = _grid(height) if any(each.others for each in entries) else ""
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img" aria-label="results">{grid}{rows}</svg>'


def _grid(height: int) -> str:
    lines = []
    for decade in range(_DECADES[0], _DECADES[1] + 1):
        x = _x(10.0**decade)
        kind = "one" if decade == 0 else "grid"
        lines.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="{height}"/>')
        lines.append(f'<text class="quiet" x="{x:.1f}" y="15" text-anchor="middle">{10.0**decade:g} x</text>')
    return "".join(lines)


def _row(entry: Entry, y: int, entries: Sequence[Entry]) -> str:
    name = entry.result.cell or entry.row
    figures = " / ".join(map(figure_text, (entry.result, *entry.others)))
    if entry.ratio is not None:
        figures += f" = {ratio_words(entry.ratio)}"
        length = _x(entry.ratio) - _LABEL
    elif not entry.others and entry.result.has_figures:
        largest = max((each.result.per_second for each in entries), default=0.0) or 1.0
        length = entry.result.per_second / largest * _BAR
    else:
        length = 0.0
    kind = "short" if entry.reached == "short" else "ours"
    return (
        f'<text x="{_LABEL - 10}" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="{kind}" x="{_LABEL}" y="{y + 3}" width="{max(1.0, length):.1f}" height="18">'
        f"<title>{escape(figures)}</title></rect>{_marks(entry, y)}"
        f'<text class="quiet" x="{_LABEL + _BAR + 10}" y="{y + 16}">{escape(figures)}</text>'
    )


def _marks(entry: Entry, y: int) -> str:
    aim = entry.aim
    if aim is None or aim.absolute or not entry.others:
        return ""
    return "".join(
        f'<line class="aim{kind}" x1="{_x(value):.1f}" x2="{_x(value):.1f}" y1="{y}" y2="{y + 24}"/>'
        for value, kind in ((aim.must, ""), (aim.goal, " goal"))
    )


def _x(ratio: float) -> float:
    low, high = _DECADES
    decades = min(max(log10(ratio) if ratio > 0 else low, low), high)
    return _LABEL + (decades - low) / (high - low) * _BAR
