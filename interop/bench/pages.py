"""benchmarks/README.md: one table, streamed cells and those with one PUBLISH per send side by side.

Belongs here: the page. Does not belong here: the words for figures (`table`), the picture (`chart`).
"""

from __future__ import annotations

from collections.abc import Iterable

from interop.bench.document import Document, Entry
from interop.bench.suite import Aim
from interop.bench.table import as_markdown, figure_text, ratio_words, short

_DIFFERENCE = (
    "*Streamed*: a publisher's socket holds many packets at a time, and a broker that reads, routes and writes in bulk "
    "wins. *One PUBLISH per send*: system calls decide, the generator's own among them, so that the figures of a fast "
    "broker are lower bounds; a busy site is somewhere between the two."
)


def readme(run: Document) -> str:
    """The page."""
    ours, theirs = _names(run.entries)
    parts = [
        "# Benchmarks",
        f"Deliveries per second of the {ours}" + (f", beside {theirs} in the same run." if theirs else "."),
        _circumstances(run),
        f"Made by `make bench` (`{run.command}`). `latest.json` has everything; `latest.html` is the picture.",
        _DIFFERENCE,
        as_markdown(_table(run.entries)),
        "Ratios are to the other broker; in brackets what must be reached and the goal; **bold** misses what it must."
        " The ceiling is what the load generator reaches with a process that only copies, on the same cores.",
        _lost(run.entries),
    ]
    return "\n\n".join(parts) + "\n"


def growth_page(run: Document, table: list[list[str]]) -> str:
    """The page about a broker that has grown."""
    return _page(
        run,
        "Growth",
        "What the figures of the reference broker become when much is stored in it or connected to it.",
        "Two brokers run beside each other, one with next to nothing and one that has grown, and are measured in turn;"
        " figures are medians. **Bold** is what does not hold.",
        table,
    )


def crowds_page(run: Document, table: list[list[str]]) -> str:
    """The page about more and more connections."""
    return _page(
        run,
        "Crowds",
        "What one of many connections costs the reference broker: nothing here may grow with their number.",
        "Each row is another broker, the last one with as many connections as the system lets one process have.",
        table,
    )


def durable_page(run: Document, table: list[list[str]]) -> str:
    """The page about a broker that keeps everything before it answers."""
    return _page(
        run,
        "With a store",
        "What it costs that the reference broker answers nothing before it is kept on disk.",
        "A broker without a store and one with it run beside each other and are measured in turn, with sessions that"
        " outlive their connections at both ends; figures are medians. The bystander sets a retained message. **Bold**"
        " is what does not hold.",
        table,
    )


def _page(run: Document, title: str, about: str, how: str, table: list[list[str]]) -> str:
    """A page of one table, and how it came about."""
    parts = [f"# {title}", about, _circumstances(run), f"Made by `{run.command}`. {how}", as_markdown(table)]
    return "\n\n".join(parts) + "\n"


def _names(entries: Iterable[Entry]) -> tuple[str, str]:
    for each in entries:
        other = each.against
        return _name(each.result.broker, each.result.broker_version), _name(
            other.broker, other.broker_version
        ) if other else ""
    return "", ""


def _name(broker: str, version: str) -> str:
    return f"{broker} broker {version}" if broker == "reference" else f"{broker} {version}"


def _circumstances(run: Document) -> str:
    machine = run.machine
    loop = f"uvloop {machine.uvloop}" if machine.uvloop else "asyncio's own event loop"
    return (
        f"{run.date[:10]}, {machine.processor}, {machine.cores} cores shared with the load generator, "
        f"{machine.system}, Python {machine.python}, {loop}, mqtt-interop {run.harness_version}. "
        "Payloads of 64 bytes unless said otherwise."
    )


def _table(entries: Iterable[Entry]) -> list[list[str]]:
    rows: dict[str, list[Entry | None]] = {}
    for each in entries:
        rows.setdefault(each.row, [None, None])[each.one_per_send] = each
    half = ["ours", "theirs", "ratio (must, goal)", "ceiling"]
    head = ["cell", *half, f"one per send: {half[0]}", *half[1:]]
    return [head, *([row, *_half(streamed), *_half(single)] for row, (streamed, single) in rows.items())]


def _half(entry: Entry | None) -> list[str]:
    if entry is None:
        return [""] * 4
    ceiling = entry.result.ceiling_per_second
    return [
        figure_text(entry.result),
        figure_text(entry.against) if entry.against else "-",
        _ratio(entry),
        "-" if ceiling is None else f"{short(ceiling)}/s",
    ]


def _ratio(entry: Entry) -> str:
    ratio = "-" if entry.ratio is None else ratio_words(entry.ratio)
    if entry.reached == "short":
        ratio = f"**{ratio}**"
    return f"{ratio} {_aim(entry.aim)}" if entry.aim else ratio


def _aim(aim: Aim) -> str:
    if aim.absolute:
        return f"(at most {aim.must / 1024:g}, {aim.goal / 1024:g} KiB)"
    return f"({'at most ' if aim.at_most else ''}{aim.must:g}, {aim.goal:g})"


_FLAWLESS = "Nothing was lost or repeated in any cell, and no client dropped."


def _lost(entries: Iterable[Entry]) -> str:
    flaws = [
        f"- {result.cell}, {result.broker}: {result.flaws}"
        for each in entries
        for result in (each.result, each.against)
        if result and result.fell_short
    ]
    return "\n".join(["Not everything arrived:", "", *flaws]) if flaws else _FLAWLESS
