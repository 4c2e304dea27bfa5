"""What a rule of the judge is: what it demands, of whom, and where each version says so.

Belongs here: the values rules are declared with, and what an inspection reports.
Does not belong here: the rules (one module for each subject) and their list (`registry`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import InitVar, dataclass, field

from interop.judge.view import Case
from interop.scenario.values import Level
from interop.tap.trace import Sender, TraceEntry
from reference_broker.wire.types import Version

V31, V311, V5 = Version.V31, Version.V311, Version.V5


@dataclass(frozen=True, slots=True)
class Clause:
    """What one version says: how binding it is, the numbered statements, else the section.

    `ids` is empty where the version says it without a number.
    """

    level: Level
    ids: tuple[str, ...] = ()
    section: str = ""


def must(*ids: str, section: str = "") -> Clause:
    """A clause that binds."""
    return Clause(Level.MUST, ids, section)


def should(*ids: str, section: str = "") -> Clause:
    """A clause that recommends."""
    return Clause(Level.SHOULD, ids, section)


def may(*ids: str, section: str = "") -> Clause:
    """A clause that leaves it open; a breach is only noted."""
    return Clause(Level.MAY, ids, section)


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule was broken by `blame`, as `entry` shows; `ids` when it depends on the case which statement it was."""

    rule: Rule
    blame: Sender
    entry: TraceEntry
    message: str
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its name, what it demands in one sentence, and what each version says to client and broker.

    `both` stands for `client` and `broker` where it is the same. A version that is not listed has no such rule, and
    nothing is found there. `waits` where a breach says that something did not come in time: in a trace that goes on,
    what comes later may refute it. `clocked` where it compares moments, which a machine that was late may have put
    apart.
    """

    name: str
    demands: str
    client: Mapping[Version, Clause] = field(default_factory=dict)
    broker: Mapping[Version, Clause] = field(default_factory=dict)
    waits: bool = False
    clocked: bool = False
    both: InitVar[Mapping[Version, Clause] | None] = None

    def __post_init__(self, both: Mapping[Version, Clause] | None) -> None:
        """Bind each side to what binds both."""
        if both is not None:
            object.__setattr__(self, "client", both)
            object.__setattr__(self, "broker", both)

    @property
    def is_timed(self) -> bool:
        """Whether a breach is a matter of time."""
        return self.waits or self.clocked

    def clauses(self, side: Sender) -> Mapping[Version, Clause]:
        """What binds that side, by version."""
        return self.client if side is Sender.CLIENT else self.broker

    def broken(self, blame: Sender, entry: TraceEntry, message: str, ids: tuple[str, ...] | None = None) -> Breach:
        """Report a breach."""
        return Breach(self, blame, entry, message, ids)


Inspection = Callable[[Case], Iterator[Breach]]
"""Reads a case and reports what is broken; it need not know which versions and sides a rule binds."""
