"""Brokers that are aware of Sparkplug, and wrong in it.

Belongs here: a broker of ours that keeps births below $sparkplug/certificates, and faults of such a broker.
Does not belong here: faults in what MQTT asks of retained messages (`broker_messages`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from interop.mutants.mutant import Change, Hears, table
from interop.mutants.words import having, when
from reference_broker.wire.packets import Publish
from reference_broker.wire.types import QoS

SUBJECT = "sparkplug"
_BIRTH = re.compile(r"spBv1\.0/[^/]+/(NBIRTH/[^/]+|DBIRTH/[^/]+/[^/]+)")


def keeps(kinds: str = "NBIRTH DBIRTH", *, retain: bool = True) -> Hears:
    """Each birth of these kinds is followed by the certificate that the broker makes of it."""

    def and_certificate(birth: Publish, _end: Any) -> tuple[Publish, Publish]:
        topic = f"$sparkplug/certificates/{birth.topic}"
        return birth, replace(birth, topic=topic, retain=retain, qos=QoS.AT_MOST_ONCE, packet_id=None)

    return Hears(Publish, when(_is_one_of(kinds.split()), and_certificate))


def _is_one_of(kinds: list[str]) -> Change:
    def is_birth(packet: Publish, _end: Any) -> bool:
        return _BIRTH.fullmatch(packet.topic) is not None and packet.topic.split("/")[2] in kinds

    return is_birth


_is_birth = _is_one_of(["NBIRTH", "DBIRTH"])


def _first_of_each(birth: Publish, end: Any) -> Publish | tuple[Publish, Publish]:
    """Change: only the first birth of a node or device is kept."""
    seen = end.memory.setdefault("births", set())
    if birth.topic in seen:
        return birth
    seen.add(birth.topic)
    kept: Publish | tuple[Publish, Publish] = keeps().change(birth, end)
    return kept


MUTANTS = table(
    "broker",
    SUBJECT,
    {
        "keeps no NBIRTH": keeps("DBIRTH"),
        "keeps no DBIRTH": keeps("NBIRTH"),
        "tells births only whom is there": keeps(retain=False),
        "keeps only the first birth": Hears(Publish, _first_of_each),
        "keeps births on their own topic": (Hears(Publish, when(_is_birth, having(retain=True))), keeps()),
    },
)
