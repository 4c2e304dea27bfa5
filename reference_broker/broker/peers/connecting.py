"""CONNECT: whether the client is let in. [3.1.1 3.1.4, 5.0 3.1.4]

Belongs here: the checks of a CONNECT, in order.
Does not belong here: the exchange of AUTH packets (`authenticating`), or the answer (`accepting`).
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.keeping.checks import Work
from reference_broker.broker.outgoing.sending import Sender
from reference_broker.broker.peers import authenticating
from reference_broker.broker.peers.accepting import (
    REASON_CODES,
    accept,
    guessed_wrong,
    refuse,
    refuses_guess,
    requested_expiry,
)
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.broker.values.phase import Phase
from reference_broker.broker.values.sizes import will_bytes
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import ConnectReturnCode, ReasonCode, Version

_LONGEST_CLIENT_ID_31 = 23


class Refused(Exception):
    """This CONNECT is well-formed and not accepted; `reason` is the 5.0 code."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def on_connect(link: Peer, packet: Connect, now: float) -> None:
    """Accept a client, begin to authenticate it, or refuse it."""
    link.version = packet.version
    link.client_id = packet.client_id
    link.connect = packet
    link.sender = Sender(link, packet.version, packet.properties)
    access, method = link.house.access, packet.properties.authentication_method
    claim = link.claim(packet)
    if _is_guess(packet) and refuses_guess(link, now):
        return
    try:
        _check(link, packet)
        if method is not None:
            link.authentication = access.proof(method)
            if link.authentication is None:  # [5.0 MQTT-4.12.0-1]
                raise Refused(ReasonCode.BAD_AUTHENTICATION_METHOD, f"no authentication method {method!r}")
            if packet.password is None:
                authenticating.begin(link, now)
                return
        check = access.lengthy_check(claim, packet.password)
        if check is None:
            _checked(link, access.may_connect(claim, packet.password), now)
            return
    except Refused as refusal:
        refuse(link, refusal.reason, str(refusal), now)
        return
    link.phase = Phase.AWAITING_CHECK
    link.house.checks.ask(
        lambda at: _begin_check(link, check, at), lambda is_right, at: _checked_elsewhere(link, is_right, at), now
    )


def _begin_check(link: Peer, check: Work, now: float) -> Work | None:
    """What is looked at now that it is this peer's turn; nothing when it is gone, or others there were wrong since."""
    link.round.now = now
    if link.is_closed() or refuses_guess(link, now):
        return None
    return lambda: not link.is_closed() and check()


def _checked_elsewhere(link: Peer, is_right: bool, now: float) -> None:
    """Go on, also with what the client has sent since."""
    if not link.is_closed():
        link.round.now = now
        _checked(link, is_right, now)
        link.receive_data(b"", now)


def _checked(link: Peer, is_right: bool, now: float) -> None:
    """It is known whether user name and password are right."""
    connect = link.connect
    assert connect is not None
    if not is_right:
        if _is_guess(connect):
            guessed_wrong(link, now)
        refuse(link, ReasonCode.BAD_USER_NAME_OR_PASSWORD, "bad user name or password", now)
        return
    proved = link.house.access.proved_username(link.claim(connect))
    if proved != connect.username:
        link.connect = replace(connect, username=proved)
    if link.authentication is None:
        accept(link, now, None)
    else:
        authenticating.begin(link, now)


def _is_guess(connect: Connect) -> bool:
    """Whether there is something in it that may be wrong."""
    return connect.password is not None or connect.properties.authentication_method is not None


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
