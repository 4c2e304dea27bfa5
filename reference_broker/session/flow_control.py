"""Receive Maximum, seen by the sender that must keep it and by the receiver that set it. [5.0 4.9]

Belongs here: how many QoS 1 and QoS 2 PUBLISH packets may be unacknowledged on one network connection.
Does not belong here: which messages wait. Make new objects for each connection: neither is session state. [5.0 4.9]
"""

from __future__ import annotations

from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.types import ReasonCode

DEFAULT_RECEIVE_MAXIMUM = 0xFFFF
"""What applies when the property is absent. [5.0 3.1.2.11.3, 3.2.2.3.3]"""


class SendQuota:
    """How many more QoS 1 and QoS 2 PUBLISH packets may be sent now; below 0: too many go on. [5.0 MQTT-4.9.0-1, -2]"""

    __slots__ = ("available", "receive_maximum")

    def __init__(self, receive_maximum: int = DEFAULT_RECEIVE_MAXIMUM) -> None:
        """`receive_maximum` is the peer's, 1 to 65,535."""
        self.receive_maximum = receive_maximum
        self.available = receive_maximum

    def take(self) -> bool:
        """Use one for a PUBLISH about to be sent; False: none is left and it has to wait. [5.0 MQTT-4.9.0-2]"""
        if self.available <= 0:
            return False
        self.available -= 1
        return True

    def occupy(self) -> None:
        """Use one for an exchange of an earlier connection that goes on with PUBREL, whether there is one or not.

        PUBREL does not wait, but its message is still without PUBCOMP: what has to wait does so until as many as there
        are too many are settled. [5.0 MQTT-3.3.4-7, -8, -9, -10]
        """
        self.available -= 1

    def give_back(self) -> None:
        """One was settled by PUBACK, PUBCOMP, or PUBREC with an error; never above the start. [5.0 4.9]"""
        if self.available < self.receive_maximum:
            self.available += 1


class ReceiveQuota:
    """How many QoS 1 and QoS 2 PUBLISH packets the peer may have unacknowledged. [5.0 MQTT-3.3.4-7, -9]"""

    __slots__ = ("_unanswered", "receive_maximum")

    def __init__(self, receive_maximum: int = DEFAULT_RECEIVE_MAXIMUM) -> None:
        """`receive_maximum` is our own, 1 to 65,535."""
        self.receive_maximum = receive_maximum
        self._unanswered: set[int] = set()

    def __len__(self) -> int:
        return len(self._unanswered)

    def take(self, packet_id: int) -> None:
        """A QoS 1 or QoS 2 PUBLISH arrived; raises ProtocolError 0x93 when it is one too many. [5.0 3.3.4]"""
        self._unanswered.add(packet_id)
        if len(self._unanswered) > self.receive_maximum:
            raise ProtocolError(
                f"more than {self.receive_maximum} PUBLISH packets without acknowledgement",
                "5.0 MQTT-4.9.0-2",
                ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
            )

    def give_back(self, packet_id: int) -> None:
        """PUBACK, PUBCOMP, or PUBREC with an error was sent for it."""
        self._unanswered.discard(packet_id)
