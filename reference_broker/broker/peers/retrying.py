"""Sending again, on a connection that is there, what a 3.1 client does not acknowledge in time. [3.1 MQTT31-15]

Belongs here: what is overdue, and when it is looked. Only 3.1 recommends it: 3.1.1 resends at reconnection, and 5.0
allows nothing else [5.0 MQTT-4.4.0-1], which is why it is off unless `retry_31_seconds` asks for it.
Does not belong here: sending again on a new connection (`outgoing.sending`).
"""

from __future__ import annotations

from reference_broker.broker.peers.peer import Peer
from reference_broker.session.delivery import Sending


def watch(link: Peer, now: float) -> None:
    """Look after a connected client from now on."""
    _look_later(link, now, {})


def _look_later(link: Peer, now: float, waiting: dict[int, Sending]) -> None:
    deadline = now + link.house.config.retry_31_seconds
    link.house.timers.at(deadline, lambda at: _look(link, at, waiting))


def _look(link: Peer, now: float, waiting: dict[int, Sending]) -> None:
    """Send again what has been waiting for the same acknowledgement since the last look, with DUP set."""
    if link.is_closed():
        return
    session, sender = link.parts()
    session.unpack(now)
    outbound = session.outbound
    waits_now = {packet.packet_id: packet for packet in outbound.resume() if packet.packet_id is not None}
    if not link.writing_paused:  # who does not read would only get more of the same
        for packet_id, packet in waits_now.items():
            if waiting.get(packet_id) is outbound.state(packet_id):
                sender.send(packet)
    _look_later(link, now, {packet_id: outbound.state(packet_id) for packet_id in waits_now})
