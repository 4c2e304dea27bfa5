"""AUTH: enhanced authentication before CONNACK, and again at any time after. [5.0 4.12]

Belongs here: the exchange of AUTH packets. Does not belong here: the methods themselves (`access`).
"""

from __future__ import annotations

from dataclasses import replace

from reference_broker.broker.peers.accepting import accept, guessed_wrong, refuse, refuses_guess
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.access import AuthenticationResult, Proof
from reference_broker.broker.values.phase import Phase
from reference_broker.wire.errors import ProtocolError
from reference_broker.wire.packets import Auth, Connect
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import ReasonCode


def begin(link: Peer, now: float) -> None:
    """The CONNECT named a known method: take its data and go on from there."""
    assert link.connect is not None
    link.phase = Phase.AUTHENTICATING
    _step_before_connack(link, link.connect.properties.authentication_data, now)


def on_auth_before_connack(link: Peer, packet: Auth, now: float) -> None:
    """The client's next answer, 0x18 only. [5.0 MQTT-4.12.0-3]"""
    _check_method(link, packet)
    if packet.reason != ReasonCode.CONTINUE_AUTHENTICATION:
        raise ProtocolError("AUTH to re-authenticate before CONNACK", "5.0 MQTT-4.12.0-3")
    if not refuses_guess(link, now):
        _step_before_connack(link, packet.properties.authentication_data, now)


def on_auth(link: Peer, packet: Auth, now: float) -> None:
    """Re-authentication: started by 0x19, carried on by 0x18, while everything else goes on. [5.0 4.12.1]"""
    if link.authentication is None:
        raise ProtocolError("AUTH without an authentication method in CONNECT", "5.0 MQTT-4.12.0-7")
    _check_method(link, packet)
    if packet.reason == ReasonCode.RE_AUTHENTICATE:
        anew = link.house.access.proof(link.authentication.name)
        if anew is None:
            link.disconnect(ReasonCode.NOT_AUTHORIZED, "the method is not supported any more", now)
            return
        link.authentication = anew
    elif link.authentication.finished:
        raise ProtocolError("AUTH continues a re-authentication that was not begun", "5.0 4.12.1")
    result, data = link.authentication.step(packet.properties.authentication_data)
    if result is AuthenticationResult.SUCCESS and not _is_still_itself(link):
        result = AuthenticationResult.FAILURE
    if result is AuthenticationResult.FAILURE:
        guessed_wrong(link, now)
        link.log("re-authentication failed")
        link.disconnect(ReasonCode.NOT_AUTHORIZED, "re-authentication failed", now)  # [5.0 MQTT-4.12.1-2]
        return
    done = result is AuthenticationResult.SUCCESS
    _send(link, ReasonCode.SUCCESS if done else ReasonCode.CONTINUE_AUTHENTICATION, data)


def _step_before_connack(link: Peer, data: bytes | None, now: float) -> None:
    assert link.authentication is not None
    result, answer = link.authentication.step(data)
    if result is AuthenticationResult.FAILURE:
        guessed_wrong(link, now)
        refuse(link, ReasonCode.NOT_AUTHORIZED, "authentication failed", now)  # [5.0 MQTT-4.12.0-4]
    elif result is AuthenticationResult.SUCCESS:
        assert link.connect is not None
        link.connect = replace(link.connect, username=_proved(link, link.connect, link.authentication))
        accept(link, now, answer)
    else:
        _send(link, ReasonCode.CONTINUE_AUTHENTICATION, answer)  # [5.0 MQTT-4.12.0-2]


def _proved(link: Peer, connect: Connect, proof: Proof) -> str | None:
    """Whom a client is taken for that answered rightly. The user name of CONNECT counts with its password only.

    Where the method proves nobody in particular, the certificate may. [5.0 4.12]
    """
    if connect.password is not None and connect.username is not None:
        return connect.username
    return link.certified if proof.username is None else proof.username


def _is_still_itself(link: Peer) -> bool:
    """Whether who proved itself again is whom the session belongs to; a method may prove nobody in particular."""
    session, _ = link.parts()
    return link.authentication is None or link.authentication.username in (None, session.username)


def _check_method(link: Peer, packet: Auth) -> None:
    """Every AUTH names the method of CONNECT. [5.0 MQTT-4.12.0-5, MQTT-4.12.1-1]"""
    assert link.authentication is not None
    if packet.properties.authentication_method != link.authentication.name:
        raise ProtocolError(
            f"AUTH with another method, {packet.properties.authentication_method!r}",
            "5.0 MQTT-4.12.0-5",
            ReasonCode.BAD_AUTHENTICATION_METHOD,
        )


def _send(link: Peer, reason: ReasonCode, data: bytes | None) -> None:
    assert link.authentication is not None
    assert link.sender is not None
    method = link.authentication.name
    link.sender.send(Auth(reason, Properties(authentication_method=method, authentication_data=data)))
