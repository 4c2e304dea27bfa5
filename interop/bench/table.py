"""Results as a table of text or Markdown: a row for each cell, brokers side by side, and their ratio.

Belongs here: words and figures for people. Does not belong here: measuring, JSON (`files`), the picture (`chart`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from interop.bench.result import Result


@dataclass(frozen=True, slots=True)
class Row:
    """A cell with the broker in question first, and those it is held against."""

    result: Result
    others: tuple[Result, ...] = ()

    @property
    def ratio(self) -> float | None:
        """How many times the figure of the best of the others ours is; None where there are none to compare."""
        figures = [figure(each) for each in self.others if each.has_figures and figure(each)]
        if not figures or not self.result.has_figures:
            return None
        return figure(self.result) / (min if is_less_better(self.result) else max)(figures)


def is_less_better(result: Result) -> bool:
    """Whether its figure is one of latency or memory."""
    return result.latency is not None or result.bytes_per_connection is not None


def figure(result: Result) -> float:
    """What a cell is about: p99 in microseconds, bytes of a connection, or things per second."""
    if result.latency is not None:
        return result.latency.p99_us
    if result.bytes_per_connection is not None:
        return result.bytes_per_connection
    return result.per_second


def figure_text(result: Result) -> str:
    """The same, with its unit."""
    if not result.has_figures:
        return "failed" if result.failure else "-"
    if result.latency is not None:
        return f"{result.latency.p99_us / 1000:.2f} ms p99"
    if result.bytes_per_connection is not None:
        return f"{result.bytes_per_connection / 1024:.1f} KiB"
    return f"{short(result.per_second)}/s"


def short(number: float) -> str:
    """`950`, `12.3 k`, `4.56 M`."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if number >= limit:
            scaled = number / limit
            return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f}{unit}"
    return f"{number:.0f}"


def ratio_words(ratio: float) -> str:
    """`0.87 x`, `5.2 x`, `61 x`."""
    return f"{ratio:.{2 if ratio < 2 else 1 if ratio < 10 else 0}f} x"


def detail_lines(result: Result) -> list[str]:
    """Everything about one result, a line each."""
    if not result.has_figures:
        return [f"{result.broker}: {result.failure or result.lacks}"]
    lines = [f"{result.broker} {result.broker_version}: {figure_text(result)}"]
    if result.sent:
        lines.append(
            f"  sent {result.sent:,}, delivered {result.delivered:,}, lost {result.lost:,},"
            f" repeated {result.repeated:,} in {result.seconds:.2f} s"
        )
    if result.dropped:
        lines.append(f"  dropped {result.dropped:,} clients, the first: {result.first_drop}")
    if latency := result.latency:
        lines.append(f"  latency p50 {latency.p50_us:.0f} us, p99 {latency.p99_us:.0f} us, max {latency.max_us:.0f} us")
    if result.broker_cores is not None and result.rss_bytes is not None:
        lines.append(f"  broker: {result.broker_cores:.2f} cores, {result.rss_bytes / 2**20:.1f} MiB resident")
    ceiling = "" if result.ceiling_per_second is None else f", its ceiling {short(result.ceiling_per_second)}/s"
    lines.append(f"  generator: its busiest process {result.generator_cores:.2f} cores{ceiling}")
    return lines


def in_short(row: Row) -> str:
    """One line about a row."""
    ratio = "" if row.ratio is None else f" = {ratio_words(row.ratio)}"
    return " / ".join(map(figure_text, (row.result, *row.others))) + ratio


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Cells of the table with its head."""
    if not rows:
        return []
    first = rows[0]
    head = ["cell", first.result.broker, *(each.broker for each in first.others), *["ratio"] * bool(first.others)]
    return [[*head, "lost", "broker cores", "generator cores", "ceiling"], *map(_cells, rows)]


def _cells(row: Row) -> list[str]:
    result = row.result
    cells = [result.cell, figure_text(result), *map(figure_text, row.others)]
    if row.others:
        cells.append("-" if row.ratio is None else ratio_words(row.ratio))
    ceiling = "-" if result.ceiling_per_second is None else f"{short(result.ceiling_per_second)}/s"
    cores = "-" if result.broker_cores is None else f"{result.broker_cores:.2f}"
    return [*cells, _lost(row), cores, f"{result.generator_cores:.2f}", ceiling]


def _lost(row: Row) -> str:
    return " / ".join(map(_lost_by, (row.result, *row.others)))


def _lost_by(result: Result) -> str:
    return f"{result.lost:,}" + (f" and {result.dropped:,} clients" if result.dropped else "")


def as_text(cells: Sequence[Sequence[str]]) -> str:
    """Columns padded with spaces."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def as_markdown(cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [_markdown_line(line) for line in cells]
    return "\n".join([lines[0], _markdown_line(["---"] * len(cells[0])), *lines[1:]])


def _markdown_line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def in_words(value: float) -> str:
    """A figure with three digits or more; a dash for none."""
    return "-" if not value else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
