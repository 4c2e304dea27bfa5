"""The fixed header's flags, as one table per version.

Belongs here: which of the lower four bits of a packet's first byte are fixed. [3.1 2.1, 3.1.1 2.2.2, 5.0 2.1.3]
Does not belong here: the flags of PUBLISH, which are fields (`decode`), and the remaining length (`varint`).
"""

from __future__ import annotations

from typing import NamedTuple

from reference_broker.wire.rules import Rule
from reference_broker.wire.types import PacketType, Version

DUP = 0b1000
RETAIN = 0b0001
PACKET_TYPES = (None, *PacketType)
"""Packet types by number; 0 is reserved."""

_P = PacketType


class FixedFlags(NamedTuple):
    """The bits of `mask` have `value`, or `rule` is broken; the other bits are fields or not looked at."""

    mask: int
    value: int
    rule: Rule


_V311 = {
    **{packet_type: FixedFlags(0b1111, 0b0000, Rule.HEADER_FLAGS) for packet_type in PacketType},
    _P.PUBLISH: FixedFlags(0, 0, Rule.HEADER_FLAGS),
    _P.PUBREL: FixedFlags(0b1111, 0b0010, Rule.PUBREL_FLAGS),
    _P.SUBSCRIBE: FixedFlags(0b1111, 0b0010, Rule.SUBSCRIBE_FLAGS),
    _P.UNSUBSCRIBE: FixedFlags(0b1111, 0b0010, Rule.UNSUBSCRIBE_FLAGS),
    _P.DISCONNECT: FixedFlags(0b1111, 0b0000, Rule.DISCONNECT_FLAGS),
}
# 3.1 has no reserved flags: the packets sent at QoS 1 carry that QoS and may carry DUP, unused bits go unchecked.
# [MQTT31-13, MQTT31-14]
_V31 = {
    **{packet_type: FixedFlags(0, 0, Rule.HEADER_FLAGS) for packet_type in PacketType},
    _P.PUBREL: FixedFlags(0b0110, 0b0010, Rule.PUBREL_FLAGS),
    _P.SUBSCRIBE: FixedFlags(0b0110, 0b0010, Rule.SUBSCRIBE_FLAGS),
    _P.UNSUBSCRIBE: FixedFlags(0b0110, 0b0010, Rule.UNSUBSCRIBE_FLAGS),
}

FIXED_FLAGS: dict[Version, dict[PacketType, FixedFlags]] = {
    Version.V31: _V31,
    Version.V311: _V311,
    Version.V5: {**_V311, _P.AUTH: FixedFlags(0b1111, 0b0000, Rule.AUTH_FLAGS)},
}
