"""Which packet identifiers are in use on one side of a session.

Belongs here: choosing an identifier nobody uses, and giving it back.
Does not belong here: what an identifier stands for (`delivery` knows messages, the client its SUBSCRIBEs).
"""

from __future__ import annotations

from reference_broker.wire.errors import LocalError

HIGHEST_PACKET_ID = 0xFFFF


class PacketIdsExhausted(LocalError):
    """All 65,535 packet identifiers are in use; wait for an acknowledgement before sending more."""


class PacketIds:
    """The identifiers one sender has in use, 1 to 65,535. [3.1.1 MQTT-2.3.1-1, 5.0 2.2.1]

    PUBLISH, SUBSCRIBE and UNSUBSCRIBE of one sender share one set; the two directions are independent.
    """

    __slots__ = ("_in_use", "_last")

    def __init__(self) -> None:
        self._in_use: set[int] = set()
        self._last = 0

    def allocate(self) -> int:
        """Take an identifier that is not in use; raises PacketIdsExhausted. [3.1.1 MQTT-2.3.1-2, 5.0 MQTT-2.2.1-3, -4]

        Identifiers go round, so that one just given back is not seen again at once: a late acknowledgement in a trace
        cannot be mistaken for the next message's.
        """
        if len(self._in_use) == HIGHEST_PACKET_ID:
            raise PacketIdsExhausted(f"all {HIGHEST_PACKET_ID} packet identifiers are in use")
        packet_id = self._last
        while True:
            packet_id = packet_id % HIGHEST_PACKET_ID + 1
            if packet_id not in self._in_use:
                break
        self._in_use.add(packet_id)
        self._last = packet_id
        return packet_id

    @property
    def last(self) -> int:
        """The one chosen last, 0 for none."""
        return self._last

    def go_on_behind(self, packet_id: int) -> None:
        """The next one is chosen behind this one."""
        self._last = packet_id

    def reserve(self, packet_id: int) -> None:
        """Mark one identifier as in use, as when a stored session is loaded; raises LocalError if it already is."""
        if not 1 <= packet_id <= HIGHEST_PACKET_ID:
            raise LocalError(f"packet identifier {packet_id} is not in 1..{HIGHEST_PACKET_ID}")
        if packet_id in self._in_use:
            raise LocalError(f"packet identifier {packet_id} is already in use")
        self._in_use.add(packet_id)

    def release(self, packet_id: int) -> None:
        """Give an identifier back; one that is not in use is left alone. [3.1.1 MQTT-2.3.1-3]"""
        self._in_use.discard(packet_id)

    def __contains__(self, packet_id: object) -> bool:
        return packet_id in self._in_use

    def __len__(self) -> int:
        return len(self._in_use)
