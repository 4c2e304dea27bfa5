"""Brokers and clients that overlook what is malformed: one of each for every rule of the wire somebody can see broken.

Belongs here: the table made from the rules of the wire, and which of them it leaves out.
Does not belong here: other faults (`broker_...`, `client_...`).
"""

from __future__ import annotations

from interop.mutants.mutant import Mutant, Overlooks, table
from reference_broker.wire.rules import Rule


def _overlooking(side: str, rules: tuple[Rule, ...]) -> list[Mutant]:
    rows = {f"{side} overlooks {rule.name.lower().replace('_', ' ')}": Overlooks(rule) for rule in rules}
    return table(side, "malformed connect topics delivery topic_alias subscription properties disconnect auth", rows)


MUTANTS = [*_overlooking("broker", tuple(Rule)), *_overlooking("client", tuple(Rule))]
