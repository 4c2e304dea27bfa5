"""What no implementation is to blame for: other networks, coarse timers, a busy machine.

Belongs here: the table of disturbances, and which differences each of them allows.
Does not belong here: how a network (`interop.tap`) or a broker (`interop.brokers`) does it, playing (`play`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.diff import Cell, Difference, compare
from reports.record import Verdict


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One of them: `options` of `mqtt-interop run`, and how busy the machine is meanwhile.

    So many processes per core keep it busy, and the run itself has that niceness. A machine that starves the run may
    withhold verdicts, but gives no wrong ones.
    """

    name: str
    about: str
    options: tuple[str, ...] = ()
    busy_processes_per_core: int = 0
    niceness: int = 0

    @property
    def may_withhold(self) -> bool:
        """Whether a verdict may be missing that is there undisturbed."""
        return self.busy_processes_per_core > 0

    def unfair(self, undisturbed: Mapping[Cell, Verdict], disturbed: Mapping[Cell, Verdict]) -> list[Difference]:
        """The verdicts that differ and must not; which of our own brokers played is no difference."""
        differences = compare(_whatever_broker(undisturbed), _whatever_broker(disturbed))
        if self.may_withhold:
            return [each for each in differences if each.after in _AGAINST_SOMEBODY]
        return differences


_AGAINST_SOMEBODY = (Verdict.FAIL, Verdict.WARN)


def _whatever_broker(verdicts: Mapping[Cell, Verdict]) -> dict[Cell, Verdict]:
    return {cell._replace(broker="any"): verdict for cell, verdict in verdicts.items()}


def _behind(network: str) -> tuple[str, ...]:
    return ("--network", network)


UNDISTURBED = Disturbance("undisturbed", "nothing between tap and broker, on this machine as it is")
DISTURBANCES = {
    each.name: each
    for each in (
        Disturbance("far", "a broker 50 ms away, give and take 20 ms", _behind("delay=50ms jitter=20ms")),
        Disturbance("very-far", "a broker 200 ms away, give and take 20 ms", _behind("delay=200ms jitter=20ms")),
        Disturbance("late", "a broker whose messages are 40 ms late", _behind("to-subscriber=40ms")),
        Disturbance("in-pieces", "bytes one by one", _behind("pieces=1")),
        Disturbance("gathered", "all packets of a turn in one read", _behind("gather")),
        Disturbance("at-once", "the fastest broker there is, all its answers in one read", _behind("answers=together")),
        Disturbance("ticking", "a broker that looks at its timers once a second", ("--broker", "ticking")),
        Disturbance(
            "busy", "three busy processes on each core, and the run at nice 19", busy_processes_per_core=3, niceness=19
        ),
    )
}
