"""The table that is seen while a matrix runs, and what is left of it at the end.

Belongs here: showing progress on a terminal (live) or in a log (a line now and then), and the closing words.
Does not belong here: deciding anything, or counting (`summary`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import RLock

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reports.again import Again
from reports.counts import Counts
from reports.defects import NO_SENTENCES, Defect, Sentences, in_numbers, is_bad
from reports.outcome import Outcome, outcome_of, why
from reports.record import Record
from reports.summary import Summary
from reports.words import cells, duration, not_run_sentence, number, place

Key = tuple[str, str]
"""(area, client)"""

_STYLES = {
    Outcome.FAIL: "bold red",
    Outcome.HARNESS_ERROR: "bold magenta",
    Outcome.SETUP_FAILED: "bold magenta",
    Outcome.FLAKY: "bold yellow",
    Outcome.UNEXPECTED_PASS: "bold cyan",
    Outcome.KNOWN_FAILURE: "yellow",
    Outcome.AMBIGUOUS: "blue",
    Outcome.KNOWN_SETUP_FAILED: "magenta",
    Outcome.WARN: "yellow",
    Outcome.UNSUPPORTED: "dim",
    Outcome.OBSERVED: "blue",
    Outcome.PASS: "green",
}
# One or two letters beside a number, since a colour alone says nothing to some and nothing in a log.
_LETTERS = {
    Outcome.FAIL: "FAIL",
    Outcome.HARNESS_ERROR: "ERR",
    Outcome.SETUP_FAILED: "SETUP",
    Outcome.FLAKY: "FLAKY",
    Outcome.UNEXPECTED_PASS: "NEWPASS",
    Outcome.KNOWN_FAILURE: "known",
    Outcome.AMBIGUOUS: "ambig",
    Outcome.KNOWN_SETUP_FAILED: "setup",
    Outcome.WARN: "warn",
    Outcome.UNSUPPORTED: "n/a",
    Outcome.OBSERVED: "seen",
    Outcome.PASS: "ok",
}
_REFRESH_PER_SECOND = 5
_LISTED = 20


class LiveTable:
    """Counts by area and client while a matrix runs; `start`, then `add` for each record, then `finish`.

    Without a terminal it prints a line after every `every_cells` cells or `every_seconds` seconds instead.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        every_cells: int = 100,
        every_seconds: float = 10.0,
    ) -> None:
        self._console = console or Console()
        self._lock = RLock()  # the live display draws from a thread of its own
        self._clock = clock
        self._every_cells = every_cells
        self._every_seconds = every_seconds
        self._totals: Counter[Key] = Counter()
        self._running: Counter[Key] = Counter()
        self._counts: dict[Key, Counts] = {}
        self._records: list[Record] = []
        self._live: Live | None = None
        self._started_at = self._said_at = clock()
        self._said_cells = 0

    def start(self, totals: Mapping[Key, int]) -> None:
        """Begin: how many cells there will be for each (area, client)."""
        self._totals = Counter(totals)
        self._counts = {key: Counts() for key in totals}
        self._started_at = self._said_at = self._clock()
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._live_view,
                console=self._console,
                refresh_per_second=_REFRESH_PER_SECOND,
                transient=True,
            )
            self._live.start()
        else:
            clients = len({client for _, client in totals})
            self._say(f"{cells(self._totals.total())} for {clients} {'client' if clients == 1 else 'clients'}")

    def begin(self, area: str, client: str) -> None:
        """One more cell of this kind is running (optional: without it all that is not done counts as pending)."""
        with self._lock:
            self._running[area, client] += 1

    def add(self, record: Record) -> None:
        """One cell is done."""
        key = record.area, record.client
        with self._lock:
            if key not in self._counts:
                self._counts[key] = Counts()
            self._counts[key].by_outcome[outcome_of(record)] += 1
            self._running[key] = max(0, self._running[key] - 1)
            self._records.append(record)
        if not self._live and self._is_due():
            self._progress()

    def finish(
        self,
        report: Path | None = None,
        stopped: str = "",
        left_out: str = "",
        defects: Sequence[Defect] = (),
        sentences: Sentences = NO_SENTENCES,
    ) -> None:
        """End, also of a run that was cut short, for whatever reason: the table, the defects, a sentence each.

        `left_out` is the sentence about cells nobody asked for, `sentences` is what statements say. `defects` are those
        of the whole records: what was added may have been told in brief, without its trace.
        """
        if self._live:
            self._live.stop()
            self._live = None
        not_run = max(0, self._totals.total() - len(self._records))
        summary = Summary.of(self._records, not_run=not_run)
        if self._records:
            self._console.print(self._table())
        for line in closing_lines(
            summary, report=report, stopped=stopped, left_out=left_out, defects=defects, sentences=sentences
        ):
            self._console.print(line, soft_wrap=True)

    def _is_due(self) -> bool:
        waited = self._clock() - self._said_at >= self._every_seconds
        return waited or len(self._records) - self._said_cells >= self._every_cells

    def _progress(self) -> None:
        self._said_at, self._said_cells = self._clock(), len(self._records)
        counts = Counts(map(outcome_of, self._records))
        self._say(f"{number(counts.total)} of {cells(self._totals.total())} done: {_plain(counts)}")

    def _say(self, text: str) -> None:
        self._console.print(f"[{duration(self._clock() - self._started_at)}] {text}", markup=False, soft_wrap=True)

    def _table(self) -> Table:
        keys = sorted(self._totals.keys() | self._counts.keys())
        clients = sorted({client for _, client in keys})
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("area")
        for client in clients:
            table.add_column(Text(client))  # as Text: a name is no markup
        for area in sorted({area for area, _ in keys}):
            table.add_row(Text(area), *(self._entry([(area, client)]) for client in clients))
        table.add_section()
        table.add_row("all", *(self._entry([key for key in keys if key[1] == client]) for client in clients))
        return table

    def _live_view(self) -> RenderableType:
        with self._lock:
            table, done = self._table(), len(self._records)
        total = max(self._totals.total(), done)
        line = f"{number(done)} of {cells(total)} done after {duration(self._clock() - self._started_at)}"
        return Group(table, Text(line, style="dim"))

    def _entry(self, keys: list[Key]) -> Text:
        total = sum(self._totals[key] for key in keys)
        counts = Counts()
        for key in keys:
            if key in self._counts:
                counts.by_outcome.update(self._counts[key].by_outcome)
        total = max(total, counts.total)
        if not total:
            return Text("-", style="dim")
        applying = total - counts[Outcome.UNSUPPORTED]
        text = Text(f"{counts.passed}/{applying}", style="green" if counts.passed == applying else "")
        for outcome, count in counts.present():
            if outcome is not Outcome.PASS:
                text.append(f" {count} {_LETTERS[outcome]}", style=_STYLES[outcome])
        if running := sum(self._running[key] for key in keys):
            text.append(f" {running} running", style="cyan")
        if (pending := total - counts.total - running) > 0:
            text.append(f" {pending} pending", style="dim")
        return text


def closing_lines(
    summary: Summary,
    *,
    report: Path | None = None,
    stopped: str = "",
    left_out: str = "",
    defects: Sequence[Defect] = (),
    sentences: Sentences = NO_SENTENCES,
) -> list[Text]:
    """What is said at the end of a run: the defects, what else needs a look, and the sums above the prompt."""
    lines = list(_defect_lines(defects, sentences))
    news = [r for r in summary.attention if not is_bad(r)]
    lines += [_failure_line(record) for record in news[:_LISTED]]
    if len(news) > _LISTED:
        lines.append(Text(f"... and {cells(len(news) - _LISTED)} more in the report"))
    lines += [Text(implementation.sentence) for implementation in summary.implementations]
    if summary.overhead:
        lines.append(Text(summary.overhead.sentence, style="dim"))
    if left_out:
        lines.append(Text(left_out))
    if again := Again.of(summary.records).sentence:
        lines.append(Text(again, style="yellow"))
    if summary.not_run:
        lines.append(Text(not_run_sentence(summary.not_run, stopped), style="bold yellow"))
    lines.append(Text(summary.headline, style="bold"))
    if report:
        lines.append(Text(f"Report: {report}"))
    return lines


def _defect_lines(defects: Sequence[Defect], sentences: Sentences) -> Iterator[Text]:
    """Each defect with its sentence and smallest trace; of a known one only what it is."""
    if defects:
        yield Text(in_numbers(defects), style="bold")
    for defect in defects[:_LISTED]:
        text = Text(f"{_LETTERS[defect.outcome]:7} ", style=_STYLES[defect.outcome])
        yield text.append(f"{defect.blamed}: {defect.headline} ({defect.extent})", style="default")
        if defect.is_known:
            continue
        if defect.statements:
            mqtt, cite = defect.statements[0]
            yield Text(f"{'':8}{mqtt} {cite}: {defect.sentence(sentences)}".rstrip(": "))
        yield Text(f"{'':8}smallest trace: {place(defect.smallest)}", style="dim")
    if len(defects) > _LISTED:
        yield Text(f"... and {number(len(defects) - _LISTED)} more in the report")


def _failure_line(record: Record) -> Text:
    outcome = outcome_of(record)
    text = Text(f"{_LETTERS[outcome]:7} ", style=_STYLES[outcome])
    cites = f" [{', '.join(record.cites)}]" if record.cites else ""
    return text.append(f"{place(record)}: {why(record)}{cites}", style="default")


def _plain(counts: Counts) -> str:
    return ", ".join(f"{number(count)} {outcome.label}" for outcome, count in reversed(counts.present()))
