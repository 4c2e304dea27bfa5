"""All rules in one table, and what each can cite.

Belongs here: the list of modules.
Does not belong here: a rule.
"""

from __future__ import annotations

from interop.judge import (
    acknowledgements,
    answers,
    auth,
    closing,
    connect,
    delivery,
    flow_control,
    flows,
    form,
    keep_alive,
    limits,
    message_properties,
    retained,
    session,
    subscriptions,
    topic_aliases,
    will,
)
from interop.judge.rule import Inspection, Rule
from interop.tap.trace import Sender
from reference_broker.wire.types import Version

_OF_ONE_CONNECTION = (
    form,
    connect,
    auth,
    closing,
    keep_alive,
    answers,
    subscriptions,
    flows,
    acknowledgements,
    flow_control,
    limits,
    topic_aliases,
)
_OF_SEVERAL = (session, delivery, retained, message_properties, will)
_MODULES = (*_OF_ONE_CONNECTION, *_OF_SEVERAL)

INSPECTIONS: tuple[Inspection, ...] = tuple(module.inspect for module in _MODULES)

ONE_CONNECTION: tuple[Inspection, ...] = tuple(module.inspect for module in _OF_ONE_CONNECTION)
"""The inspections that are right about one connection whatever went on elsewhere, at a broker others use too."""

RULES: dict[str, Rule] = {rule.name: rule for module in _MODULES for rule in module.RULES}
"""Every rule by its name."""


def citations(rule: Rule, side: Sender, version: Version) -> frozenset[str]:
    """The numbered statements of a version this rule can find broken by that side."""
    clause = rule.clauses(side).get(version)
    if clause is None:
        return frozenset()
    if rule is form.WELL_FORMED or rule is form.DIRECTION:
        return frozenset(form.statements(version))
    return frozenset(clause.ids)
