"""What is played: one mutant put to one scenario in one version, and what it showed.

Belongs here: the values that pass between planning, playing and counting.
Does not belong here: which are played (`plan`), playing (`run`), counting (`kill_table`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from interop.runner.cell import Cell
from interop.runner.verdict import REFERENCE_BROKER, REFERENCE_CLIENT
from interop.scenario.load import LoadedScenario
from interop.scenario.values import MqttLabel
from reports.record import Record, Verdict

_SAYS_NOTHING = frozenset({Verdict.UNSUPPORTED, Verdict.SETUP_FAILED, Verdict.HARNESS_ERROR})


class Trial(NamedTuple):
    """A mutant, put to a scenario in a version of MQTT; all by name."""

    mutant: str
    scenario: str
    mqtt: MqttLabel

    def cell(self, loaded: LoadedScenario, side: str) -> Cell:
        """The cell to play, over the scenario's first transport; the other side is the right one."""
        client = self.mutant if side == "client" else REFERENCE_CLIENT
        broker = self.mutant if side == "broker" else REFERENCE_BROKER
        return Cell(loaded, client, broker, self.mqtt, loaded.scenario.transports[0])


@dataclass(frozen=True, slots=True)
class Kill:
    """A trial that turned red: why, and the judge's rules that the mutant's side broke.

    `by_step` says that an expectation of the scenario failed: what the judge alone sees proves nothing of the scenario.
    """

    trial: Trial
    reason: str
    by_step: bool
    rules: tuple[str, ...]


def kill_of(trial: Trial, record: Record, *, right_is_red: bool) -> Kill | None:
    """What a record proves of its mutant, if anything; `right_is_red` where the right pair is red in this cell too.

    Where the specification leaves open what happens, the right pair may be the red one: then the mutant stands out by
    doing as described.
    """
    if record.verdict in _SAYS_NOTHING or bool(record.findings) is right_is_red:
        return None
    if not record.findings:
        return Kill(trial, "did as described, which the right one does not", by_step=True, rules=())
    side = "client" if record.client != REFERENCE_CLIENT else "broker"
    rules = (each.rule for each in record.findings if each.source == "judge" and each.blame == side)
    by_step = any(each.source == "step" for each in record.findings)
    return Kill(trial, record.findings[0].message, by_step, tuple(dict.fromkeys(rules)))
