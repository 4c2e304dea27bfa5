"""The matrix of the pages: what one of its fields counts, in words, and where its cells are listed.

Belongs here: fields and their table. Does not belong here: counting (`summary`), markup (`templates`).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from reports.counts import Column, Counts
from reports.outcome import Outcome
from reports.summary import Summary
from reports.words import number


def filter_link(**wanted: str) -> str:
    """Where the list of cells is that have these values; without any, of all cells."""
    return f"#cells?{urlencode(wanted or {'verdict': 'all'})}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the matrix: what it counts, in words, and where its cells are listed."""

    counts: Counts
    words: str
    link: str

    @property
    def worst(self) -> Outcome:
        """The outcome that colours it."""
        return self.counts.present()[0][0]

    @property
    def notes(self) -> list[tuple[Outcome, int]]:
        """What stands beside the passes."""
        return [(outcome, count) for outcome, count in self.counts.present() if outcome is not Outcome.PASS]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Areas by client, broker and version, with sums; a field without cells is none."""

    columns: tuple[Column, ...]
    groups: list[tuple[str, str, int]]
    """client, broker, number of versions"""
    names_brokers: bool
    """whether there is more than one broker, so that they must be named"""
    rows: list[tuple[str, list[Entry | None]]]

    @classmethod
    def of(cls, summary: Summary) -> Matrix:
        """The matrix with a last row and a last column that sum up."""
        pairs = [(column.client, column.broker) for column in summary.columns]
        groups = [(client, broker, pairs.count((client, broker))) for client, broker in dict.fromkeys(pairs)]
        wheres: list[dict[str, str]] = [column._asdict() for column in summary.columns]
        rows = [
            (area or "all", [_entry(summary, {**({"area": area} if area else {}), **where}) for where in [*wheres, {}]])
            for area in [*summary.areas, ""]
        ]
        return cls(summary.columns, groups, len({broker for _, broker in pairs}) > 1, rows)


def _entry(summary: Summary, where: dict[str, str]) -> Entry | None:
    counts = summary.counts_where(**where)
    if not counts.total:
        return None
    pair = f"{where['client']} with {where['broker']}, MQTT {where['mqtt']}" if "client" in where else "all clients"
    others = counts.besides_passes()
    words = f"{where.get('area', 'all areas')}, {pair}: {number(counts.passed)} {counts.of_applying} pass"
    return Entry(counts, f"{words}; {others}" if others else words, filter_link(**where))
