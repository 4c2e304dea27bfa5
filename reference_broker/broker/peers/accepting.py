"""The answer to a CONNECT: letting a client in with its session, or turning it away. [3.1.1 3.1.4, 3.2, 5.0 3.1.4, 3.2]

Belongs here: taking over, opening the session, CONNACK with its properties, refusals in each version's form.
Does not belong here: whether a client is let in (`connecting`, `authenticating`), or sending its messages (`sending`).
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import retrying
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.access import Claim
from reference_broker.broker.values.admission import Refusal
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.phase import Phase
from reference_broker.session.flow_control import DEFAULT_RECEIVE_MAXIMUM
from reference_broker.wire.decoders import read_protocol
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError, UnacceptableProtocolVersion
from reference_broker.wire.packets import ConnAck, Connect
from reference_broker.wire.properties import NEVER_EXPIRES, NO_PROPERTIES, Properties
from reference_broker.wire.reasons import REASONS
from reference_broker.wire.types import ConnectReturnCode, PacketType, ReasonCode, Version
from reference_broker.wire.varint import read_remaining_length

RETURN_CODES: dict[int, ConnectReturnCode] = {
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION: ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION,
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID: ConnectReturnCode.IDENTIFIER_REJECTED,
    ReasonCode.SERVER_UNAVAILABLE: ConnectReturnCode.SERVER_UNAVAILABLE,
    ReasonCode.SERVER_BUSY: ConnectReturnCode.SERVER_UNAVAILABLE,
    ReasonCode.QUOTA_EXCEEDED: ConnectReturnCode.SERVER_UNAVAILABLE,
    ReasonCode.CONNECTION_RATE_EXCEEDED: ConnectReturnCode.SERVER_UNAVAILABLE,
    ReasonCode.BAD_USER_NAME_OR_PASSWORD: ConnectReturnCode.BAD_USER_NAME_OR_PASSWORD,
    ReasonCode.NOT_AUTHORIZED: ConnectReturnCode.NOT_AUTHORIZED,
    ReasonCode.BANNED: ConnectReturnCode.NOT_AUTHORIZED,
}
"""Reason code of 5.0 -> return code of 3.x; a refusal without one is silent. [3.1.1 MQTT-3.2.2-6]"""
REASON_CODES = {return_code: reason for reason, return_code in reversed(RETURN_CODES.items())}
"""The other way round, for a refusal that was configured as a return code."""


def accept(link: Peer, now: float, authentication_data: bytes | None) -> None:
    """Open the session, send CONNACK and start delivering."""
    connect, house, sender = link.connect, link.house, link.sender
    assert connect is not None
    assert sender is not None
    assigned = None
    client_id = connect.client_id
    if not client_id:
        client_id = assigned = house.new_client_id()
    link.client_id = client_id
    if (refusal := _id_refusal(link, connect) or _will_refusal(link, connect)) is not None:
        refuse(link, refusal.reason, refusal.text, now)
        return
    existing = house.sessions.get(client_id)
    if existing is not None and house.moving_in is not None and not house.moving_in.is_here(existing):
        link.phase = Phase.AWAITING_SESSION
        house.opening.excuse(link)
        house.moving_in.when_here(existing, lambda at: _accept_later(link, at, authentication_data), now)
        return
    if existing is not None and existing.sender is not None:  # [5.0 MQTT-3.1.4-3, 3.1.1 MQTT-3.1.4-2]
        if not house.access.may_take_over(connect.username, existing.username):
            refuse(link, ReasonCode.NOT_AUTHORIZED, "another user is connected with this client id", now)
            return
        existing.sender.output.disconnect(ReasonCode.SESSION_TAKEN_OVER, "another connection uses this client id", now)
    _discard_of_another_user(link, connect, now)
    session, present = house.sessions.open(client_id, connect.version, connect.clean_start, now)
    requested = requested_expiry(connect)
    session.expiry_interval = min(requested, house.config.session_expiry_maximum)
    session.will = connect.will
    if session.username != connect.username or session.listener != link.listener:
        session.username, session.listener = connect.username, link.listener
        if present:
            house.sessions.ask_rules_again(session, now)
    session.sender = sender
    house.sessions.weigh(session)
    house.sessions.keep(session)
    link.session = session
    house.connected_count += 1
    keep_alive = connect.keep_alive
    if connect.version is Version.V5 and house.config.server_keep_alive is not None:
        keep_alive = house.config.server_keep_alive
    properties = _announced(link, connect, requested, assigned, authentication_data)
    # 3.1 has no Session Present; the byte is reserved. [3.1 MQTT31-6]
    session_present = present and connect.version is not Version.V31
    if not sender.send(ConnAck(session_present, ReasonCode.SUCCESS, properties)):
        link.log(f"CONNACK does not fit into the client's maximum of {sender.maximum_packet_size} bytes")
        link.end(now, publish_will=True)
        return
    link.connect = None
    link.requested_expiry = requested
    link.connected(now, keep_alive)
    sender.begin(session, now, resumed=present)
    if house.config.retry_31_seconds and connect.version is Version.V31:
        retrying.watch(link, now)


def ask_again(link: Peer, now: float) -> None:
    """Users or rules have changed: who may not connect any more is disconnected, or is not let in.

    It asked for nothing that is not authorized (0x87): the connection ends by what an administrator did. [5.0 3.14.2.1]
    """
    if link.session is not None:
        username = link.session.username
    elif link.connect is not None:
        proved = None if link.authentication is None else link.authentication.username
        username = link.connect.username if proved is None else proved
    else:
        return  # it has not said yet who it is
    if link.house.access.may_stay(Claim(username, link.client_id or "", link.listener, link.certified)):
        return
    if link.connect is not None:
        refuse(link, ReasonCode.NOT_AUTHORIZED, _ANOTHER_USER, now)
    else:
        link.log(_ANOTHER_USER)
        link.disconnect(ReasonCode.ADMINISTRATIVE_ACTION, _ANOTHER_USER, now)


_ANOTHER_USER = "its user may not connect any more"


def _id_refusal(link: Peer, connect: Connect) -> Refusal | None:
    """Why who is proved to be whom CONNECT names now may not have this client id."""
    return None if link.house.access.may_use_client_id(link.claim(connect)) else _CLIENT_ID


def _will_refusal(link: Peer, connect: Connect) -> Refusal | None:
    """Why not this will: it is published some day, so what holds for a PUBLISH holds for it now.

    [5.0 MQTT-3.2.2-12, MQTT-3.2.2-13]
    """
    will, admission = connect.will, link.house.admission
    if will is None:
        return None
    refusal = admission.announced_refusal(will.qos, will.retain, connect.version) or admission.refusal(
        link.claim(connect), will.topic, will.payload, will.properties
    )
    return None if refusal is None else replace(refusal, text=f"will to {will.topic!r}: {refusal.text}")


_CLIENT_ID = Refusal(ReasonCode.NOT_AUTHORIZED, "this client id belongs to another user")


def _announced(
    link: Peer, connect: Connect, requested_expiry: int, assigned: str | None, authentication_data: bytes | None
) -> Properties:
    """The properties of a CONNACK that lets a client in."""
    session, _ = link.parts()
    if connect.version is not Version.V5:
        return NO_PROPERTIES
    properties = connack_properties(connect, link.house.config, session.client_id)
    properties = replace(properties, assigned_client_identifier=assigned)
    if session.expiry_interval != requested_expiry:
        properties = replace(properties, session_expiry_interval=session.expiry_interval)
    if link.authentication is not None:  # [5.0 MQTT-4.12.0-5]
        name = link.authentication.name
        properties = replace(properties, authentication_method=name, authentication_data=authentication_data)
    return properties


def _accept_later(link: Peer, now: float, authentication_data: bytes | None) -> None:
    """The session has come from the store: go on, also with what the client has sent since."""
    if not link.is_closed():
        accept(link, now, authentication_data)
        link.receive_data(b"", now)


def _discard_of_another_user(link: Peer, connect: Connect, now: float) -> None:
    """Where user names are proved, a session belongs to one: who has no right to its client id begins with none.

    Whether another user may have a client id is left open [5.0 5.4.2, 3.1.1 5.4.2]. To refuse it would lock a device
    out for good that was given another user name; to resume would hand over what is somebody else's.
    """
    house = link.house
    existing = house.sessions.get(link.client_id or "")
    if existing is None or not house.access.proves_users or existing.username == connect.username:
        return
    link.log("the session of another user with this client id is discarded")
    house.sessions.end(existing, now)


def guessed_wrong(link: Peer, now: float) -> None:
    """Count a wrong password or proof; the log says when its address has had its share of them."""
    line = link.house.addresses.failed(link.peer, now)
    if line is not None:
        link.house.log.write(line)


def refuses_guess(link: Peer, now: float) -> bool:
    """Turn a client away whose password or proof is not looked at, because too many from its address were wrong.

    [5.0 5.4.8]
    """
    is_guessing = link.house.addresses.is_guessing(link.peer, now)
    if is_guessing:
        refuse(link, ReasonCode.CONNECTION_RATE_EXCEEDED, "too many passwords from its address were wrong", now)
    return is_guessing


def refuse(link: Peer, reason: int, text: str, now: float) -> None:
    """Answer CONNECT with an error where the version has one, and close. [5.0 MQTT-3.2.2-7, 3.1.1 MQTT-3.2.2-5]"""
    link.log(f"refused: {text}")
    config, sender = link.house.config, link.sender
    assert sender is not None
    if sender.version is Version.V5:
        properties = sender.diagnostics(PacketType.CONNACK, text)
        if reason in (ReasonCode.USE_ANOTHER_SERVER, ReasonCode.SERVER_MOVED):
            properties = replace(properties, server_reference=config.server_reference)
        if config.connack_user_property:
            properties = replace(properties, user_property=config.connack_user_property)
        sender.send(ConnAck(False, reason, properties))
    elif (return_code := RETURN_CODES.get(reason)) is not None:
        sender.send(ConnAck(False, return_code))
    link.end(now, publish_will=False)


def answer_failed(link: Peer, error: RemoteError, rest: bytes) -> None:
    """Answer a CONNECT that is not well-formed: CONNACK in 5.0, nothing in 3.x but 0x01 for its level.

    `rest` is what was received and not understood. There is no Reason String, because the client's Maximum Packet Size
    is not known. [5.0 MQTT-3.1.4-1, MQTT-3.2.2-19, 3.1.1 MQTT-3.1.4-1, MQTT-3.1.2-2]
    """
    if isinstance(error, UnacceptableProtocolVersion):
        if error.protocol_name in (b"MQTT", b"MQIsdp"):
            # 3.1.1 demands this answer to any level that is not spoken [3.1.1 MQTT-3.1.2-2]; 5.0 allows one in its own
            # form with 0x84, or none [5.0 MQTT-3.1.2-2]. These four bytes are also what a client of a later version
            # can read for certain, as every broker of 3.1.1 sends it them; then it tries the next lower version.
            # What stands behind the level is not looked at: nobody knows yet how a later version goes on.
            link.write(encode(ConnAck(False, ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION), Version.V311))
        return
    if link.version is not None:
        version: Version | None = link.version
    else:
        version = _version_of(rest)
    if version is not Version.V5:
        return
    sender = link.sender or Sender(link, version, NO_PROPERTIES)
    # The codes of the other packets are not in CONNACK's table. [5.0 MQTT-3.2.2-8]
    reason = error.reason if error.reason in _CONNACK_REASONS else ReasonCode.PROTOCOL_ERROR
    sender.send(ConnAck(False, reason))


_CONNACK_REASONS = REASONS[Version.V5][PacketType.CONNACK]


def _version_of(data: bytes) -> Version | None:
    """The version of a CONNECT that could not be decoded, as far as it names one."""
    try:
        header = read_remaining_length(data, 0, None)
        if header is None or data[0] >> 4 != PacketType.CONNECT:
            return None
        remaining_length, body = header
        return read_protocol(data, body, min(body + remaining_length, len(data)))[0]
    except (RemoteError, IndexError):
        return None


# --- CONNACK ---------------------------------------------------------------------------------------------------------


def requested_expiry(connect: Connect) -> int:
    """The Session Expiry Interval a CONNECT asks for; 3.x knows only "now" and "never". [5.0 3.1.2.11.2]"""
    if connect.version is Version.V5:
        return connect.properties.session_expiry_interval or 0
    return 0 if connect.clean_start else NEVER_EXPIRES


def connack_properties(connect: Connect, config: BrokerConfig, client_id: str) -> Properties:
    """What the broker's limits are, where they differ from what a client assumes without being told. [5.0 3.2.2.3]"""
    wants_response_information = connect.properties.request_response_information == 1
    return Properties(
        receive_maximum=None if config.receive_maximum == DEFAULT_RECEIVE_MAXIMUM else config.receive_maximum,
        maximum_qos=None if config.maximum_qos == 2 else config.maximum_qos,
        retain_available=None if config.retain_available else 0,
        maximum_packet_size=config.maximum_packet_size,
        topic_alias_maximum=config.topic_alias_maximum or None,
        wildcard_subscription_available=None if config.wildcard_subscription_available else 0,
        subscription_identifier_available=None if config.subscription_identifier_available else 0,
        shared_subscription_available=None if config.shared_subscription_available else 0,
        server_keep_alive=config.server_keep_alive,
        response_information=(
            config.response_information + client_id
            if config.response_information is not None and wants_response_information  # [5.0 MQTT-3.1.2-28]
            else None
        ),
        user_property=config.connack_user_property,
    )
