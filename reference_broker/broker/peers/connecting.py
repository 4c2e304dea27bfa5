"""CONNECT: whether the client is let in. [3.1.1 3.1.4, 5.0 3.1.4]

Belongs here: the checks of a CONNECT, in order.
Does not belong here: the exchange of AUTH packets (`authenticating`), or the answer (`accepting`).
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import authenticating
from reference_broker.broker.peers.accepting import REASON_CODES, accept, refuse, requested_expiry
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.access import Authentication
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.sizes import will_bytes
from reference_broker.wire.packets import Connect, Will
from reference_broker.wire.types import ConnectReturnCode, ReasonCode, Version

_LONGEST_CLIENT_ID_31 = 23


class Refused(Exception):
    """This CONNECT is well-formed and not accepted; `reason` is the 5.0 code."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def on_connect(link: Peer, packet: Connect, now: float) -> None:
    """Accept a client, begin to authenticate it, or refuse it."""
    config = link.house.config
    link.version = packet.version
    link.client_id = packet.client_id
    link.connect = packet
    link.sender = Sender(link, packet.version, config, link.house.access, packet.properties)
    try:
        _check(link, packet)
        link.connect = packet = _identified(link, packet)
        if packet.will is not None:
            _check_will(link, packet.will, packet)
    except Refused as refusal:
        refuse(link, refusal.reason, str(refusal), now)
        return
    if link.authentication is None:
        accept(link, now, None)
    else:
        authenticating.begin(link, now)


def _identified(link: Peer, packet: Connect) -> Connect:
    """The CONNECT with the user name its client is taken for, once it has answered the method it names, if any."""
    access, method_name = link.house.access, packet.properties.authentication_method
    method = None
    if method_name is not None:
        method = access.method(method_name)
        if method is None:  # [5.0 MQTT-4.12.0-1]
            raise Refused(ReasonCode.BAD_AUTHENTICATION_METHOD, f"no authentication method {method_name!r}")
    if (method is None or packet.password is not None) and not access.may_connect(packet.username, packet.password):
        raise Refused(ReasonCode.BAD_USER_NAME_OR_PASSWORD, "bad user name or password")
    if method is None:
        return packet
    link.authentication = Authentication(method)
    return replace(packet, username=access.proved_username(packet.username, packet.password, method))


# --- checks ----------------------------------------------------------------------------------------------------------


def _check(link: Peer, connect: Connect) -> None:
    config = link.house.config
    if config.refuse_connect is not None:
        reason = REASON_CODES.get(ConnectReturnCode(config.refuse_connect)) if config.refuse_connect <= 5 else None
        raise Refused(reason or config.refuse_connect, "this broker is told to refuse every client")
    _check_client_id(connect, config)
    sessions = link.house.sessions
    known = sessions.get(connect.client_id)
    was_kept = known is not None and known.record is not None
    has_to_be_kept = was_kept or connect.will is not None or requested_expiry(connect) > 0
    no_room = link.house.admission.keeping_refusal(has_to_be_kept=has_to_be_kept)
    if no_room is not None:
        raise Refused(no_room.reason, no_room.text)
    is_more = connect.client_id not in sessions or connect.will is not None
    if is_more and sessions.size_bytes + will_bytes(connect.will) >= config.sessions_maximum_bytes:
        raise Refused(ReasonCode.QUOTA_EXCEEDED, "no room for another session")
    if config.maximum_connections is not None and link.house.connected_count >= config.maximum_connections:
        existing = link.house.sessions.get(connect.client_id) if connect.client_id else None
        if existing is None or existing.sender is None:
            raise Refused(ReasonCode.QUOTA_EXCEEDED, f"{config.maximum_connections} clients are connected")


def _check_client_id(connect: Connect, config: BrokerConfig) -> None:
    version, client_id = connect.version, connect.client_id
    if not client_id:
        if version is Version.V31:  # 1 to 23 characters, clean session or not [3.1 MQTT31-5]
            raise Refused(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "empty client id")
        if version is Version.V311 and not connect.clean_start:  # [3.1.1 MQTT-3.1.3-8]
            raise Refused(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "empty client id with a session to be kept")
        if not config.allow_empty_client_id:
            raise Refused(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, "empty client id")
    elif version is Version.V31 and config.enforce_client_id_length_31 and len(client_id) > _LONGEST_CLIENT_ID_31:
        raise Refused(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, f"client id of {len(client_id)} characters")


def _check_will(link: Peer, will: Will, connect: Connect) -> None:
    """A will is published some day, so what holds for a PUBLISH holds for it now. [5.0 MQTT-3.2.2-12, MQTT-3.2.2-13]"""
    admission = link.house.admission
    refusal = admission.announced_refusal(will.qos, will.retain, connect.version) or admission.refusal(
        connect.username, will.topic, will.payload, will.properties
    )
    if refusal is not None:
        raise Refused(refusal.reason, f"will to {will.topic!r}: {refusal.text}")
