"""benchmarks/README.md: one table, streamed cells and those with one PUBLISH per send side by side.

Belongs here: the page. Does not belong here: the words for figures (`table`), the picture (`chart`).
"""

from __future__ import annotations

from collections.abc import Sequence

from interop.bench.document import Document, Entry
from interop.bench.result import Result
from interop.bench.suite import Aim
from interop.bench.table import as_markdown, figure_text, ratio_words, short

_DIFFERENCE = (
    "*Streamed*: a publisher's socket holds many packets at a time, and a broker that reads, routes and writes in bulk "
    "wins. *One PUBLISH per send*: system calls decide, the generator's own among them, so that the figures of a fast "
    "broker are lower bounds; a busy site is somewhere between the two."
)


def readme(run: Document) -> str:
    """The page."""
    parts = [
        "# Benchmarks",
        f"Deliveries per second of the {_names(run.entries)}.",
        _circumstances(run),
        f"Made by `make bench` (`{run.command}`). `latest.json` has everything; `latest.html` is the picture.",
        _DIFFERENCE,
        as_markdown(_table(run.entries)),
        "Ratios are to the best of the others; in brackets what must be reached and the goal; **bold** misses what it"
        " must. The ceiling is what the load generator reaches with a process that only copies, on the same cores.",
        _lost(run.entries),
    ]
    return "\n\n".join(parts) + "\n"


def one_by_one_page(run: Document) -> str:
    """The page about packets that come one by one: how many a second, and how late at a given rate."""
    loads = [each for each in run.entries if each.result.offered_per_second]
    rates = [each for each in run.entries if not each.result.offered_per_second]
    parts = [
        "# One PUBLISH per send",
        "A publisher that sends each packet by itself wakes the broker for each, and pays for the waking. This is the "
        f"{_names(run.entries)}.",
        _circumstances(run),
        f"Made by `{run.command}`.",
        as_markdown(_table_of_singles(rates)),
        "The ratio is to the best of the others. The generator is made of Python, and its own system calls are most of "
        "what is measured: figures of a fast broker are lower bounds, and the ceiling is what the generator reaches "
        "with a process that only copies.",
        "**Latency over load**, 1 to 1, from send to receipt: median and 99th percentile in microseconds; in brackets "
        "the rate that got through, where it is under 95 % of what was offered.",
        as_markdown(_table_of_loads(loads)),
        "![The 99th percentile over the rate, for each broker](one-by-one.svg)",
        _lost(run.entries),
    ]
    return "\n\n".join(parts) + "\n"


def _table_of_singles(entries: Sequence[Entry]) -> list[list[str]]:
    head = ["cell", "ours", *_others(entries), "ratio", "ceiling"]
    return [head, *([each.row, *_half(each, len(head) - 1)] for each in entries)]


def _table_of_loads(entries: Sequence[Entry]) -> list[list[str]]:
    head = ["cell", "ours", *_others(entries)]
    return [head, *([each.row, *map(_late, (each.result, *each.others))] for each in entries)]


def _late(result: Result) -> str:
    if result.latency is None:
        return figure_text(result)
    through = result.per_second
    rate = "" if through >= 0.95 * result.offered_per_second else f" ({short(through)}/s)"
    return f"{result.latency.p50_us:,.0f}, {result.latency.p99_us:,.0f}{rate}"


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


def _names(entries: Sequence[Entry]) -> str:
    """`reference broker 0.1.0, beside mosquitto 2.0.11 in the same run`."""
    if not entries:
        return ""
    results = (entries[0].result, *entries[0].others)
    versions = {
        each.broker: each.broker_version
        for entry in entries
        for each in (entry.result, *entry.others)
        if each.broker_version
    }
    ours, *theirs = (_name(each.broker, versions.get(each.broker, "")) for each in results)
    return f"{ours}, beside {' and '.join(theirs)} in the same run" if theirs else ours


def _name(broker: str, version: str) -> str:
    return f"{broker} broker {version}" if broker == "reference" else f"{broker} {version}".rstrip()


def _circumstances(run: Document) -> str:
    machine = run.machine
    loop = f"uvloop {machine.uvloop}" if machine.uvloop else "asyncio's own event loop"
    return (
        f"{run.date[:10]}, {machine.processor}, {machine.cores} cores shared with the load generator, "
        f"{machine.system}, Python {machine.python}, {loop}, mqtt-interop {run.harness_version}. "
        "Payloads of 64 bytes unless said otherwise."
    )


def _table(entries: Sequence[Entry]) -> list[list[str]]:
    rows: dict[str, list[Entry | None]] = {}
    for each in entries:
        rows.setdefault(each.row, [None, None])[each.one_per_send] = each
    half = ["ours", *_others(entries), "ratio (must, goal)", "ceiling"]
    head = ["cell", *half, f"one per send: {half[0]}", *half[1:]]
    return [
        head,
        *([row, *_half(streamed, len(half)), *_half(single, len(half))] for row, (streamed, single) in rows.items()),
    ]


def _others(entries: Sequence[Entry]) -> list[str]:
    return [each.broker for each in entries[0].others] if entries else []


def _half(entry: Entry | None, columns: int) -> list[str]:
    if entry is None:
        return [""] * columns
    ceiling = entry.result.ceiling_per_second
    figures = map(figure_text, (entry.result, *entry.others))
    return [*figures, _ratio(entry), "-" if ceiling is None else f"{short(ceiling)}/s"]


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


def _lost(entries: Sequence[Entry]) -> str:
    flaws = [
        f"- {result.cell}, {result.broker}: {result.flaws}"
        for each in entries
        for result in (each.result, *each.others)
        if result.fell_short
    ]
    return "\n".join(["Not everything arrived:", "", *flaws]) if flaws else _FLAWLESS
