"""Enhanced authentication, seen from the client. [5.0 4.12]

Belongs here: whose turn it is, and that the method stays the one of CONNECT.
Does not belong here: any method itself: data passes between server and application untouched.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from reference_broker.client.events import AuthChallenge, Authenticated
from reference_broker.wire.errors import LocalError, ProtocolError
from reference_broker.wire.packets import Auth, ConnAck
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import ReasonCode


class _Turn(Enum):
    NOBODY = auto()
    SERVER = auto()
    CLIENT = auto()


class Authentication:
    """The exchange of one connection; `method` is CONNECT's, None where it named none."""

    def __init__(self, method: str | None) -> None:
        self._method = method
        self._turn = _Turn.SERVER  # CONNECT is the client's first move
        self._accepted = False

    def accept(self, connack: ConnAck) -> None:
        """The server accepted the connection; raises ProtocolError when CONNACK has another method."""
        self._check_method(connack)
        self._turn = _Turn.NOBODY
        self._accepted = True

    def receive(self, auth: Auth) -> AuthChallenge | Authenticated:
        """What an AUTH from the server means; raises ProtocolError when there should be none."""
        if self._method is None:
            raise ProtocolError("AUTH without an authentication method in CONNECT", "5.0 MQTT-4.12.0-6")
        self._check_method(auth)
        if self._turn is not _Turn.SERVER:
            raise ProtocolError("AUTH out of turn", "5.0 4.12")
        data = auth.properties.authentication_data
        if auth.reason == ReasonCode.CONTINUE_AUTHENTICATION:
            self._turn = _Turn.CLIENT
            return AuthChallenge(data, auth.properties)
        if not self._accepted:
            raise ProtocolError("AUTH with Success before CONNACK", "5.0 MQTT-4.12.0-2")
        self._turn = _Turn.NOBODY
        return Authenticated(data, auth.properties)

    def answer(self, data: bytes | None, properties: Properties) -> Auth:
        """The client's next AUTH: 0x18 for an open challenge, else 0x19, a re-authentication. Raises LocalError.

        [5.0 MQTT-4.12.0-3, -7, MQTT-4.12.1-1]
        """
        if self._method is None:
            raise LocalError("no authentication method was named in CONNECT [5.0 MQTT-4.12.0-7]")
        if self._turn is _Turn.SERVER:
            raise LocalError("it is the server's turn to authenticate [5.0 4.12]")
        challenged = self._turn is _Turn.CLIENT
        reason = ReasonCode.CONTINUE_AUTHENTICATION if challenged else ReasonCode.RE_AUTHENTICATE
        return Auth(reason, replace(properties, authentication_method=self._method, authentication_data=data))

    def answered(self) -> None:
        """The client's AUTH was sent."""
        self._turn = _Turn.SERVER

    def _check_method(self, packet: ConnAck | Auth) -> None:
        said = packet.properties.authentication_method
        if said != self._method:
            raise ProtocolError(
                f"{packet.type.name} with authentication method {said!r}, CONNECT had {self._method!r}",
                "5.0 MQTT-4.12.0-6" if self._method is None else "5.0 MQTT-4.12.0-5",
            )
