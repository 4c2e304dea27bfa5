"""How often this machine was too busy to tell, and cells were played again for it: what every report says of that.

Belongs here: the count, and the sentences. Does not belong here: when a cell is played again, and what is then believed
(`interop.runner.again`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from reports.record import Record
from reports.words import cells, number


@dataclass(frozen=True, slots=True)
class Again:
    """How many cells were played again because this machine was too busy."""

    total: int
    verdicts: int
    """of these gave a verdict the second time"""
    withheld: int
    """were withheld, because this machine was too busy once more"""

    @classmethod
    def of(cls, records: Iterable[Record]) -> Again:
        """Count them."""
        by_withheld = Counter(record.played_again.withheld for record in records if record.played_again)
        return cls(by_withheld.total(), by_withheld[False], by_withheld[True])

    @property
    def sentence(self) -> str:
        """What every report prints: `3 cells were played again ...: 2 then gave a verdict, 1 was withheld ...`.

        Empty when there was none.
        """
        if not self.total:
            return ""
        return (
            f"{cells(self.total)} {_were(self.total)} played again because this machine was too busy: "
            f"{number(self.verdicts)} then gave a verdict, "
            f"{number(self.withheld)} {_were(self.withheld)} withheld (setup-failed)."
        )


def first_time(record: Record) -> str:
    """What a cell's page says of its first time if it was played again; else empty."""
    first = record.played_again
    if first is None:
        return ""
    return (
        "Played again, alone: the first time this machine was too busy "
        f"(lag {first.lag_seconds:.1f} s at worst, {first.lost_seconds:.1f} s in all; {first.cpu_pressure:.0%} of the "
        "time somebody waited for a processor), and what came out was withheld. "
        + ("So was what came out the second time." if first.withheld else "What came out the second time stands.")
    )


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
