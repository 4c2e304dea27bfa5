"""A client that proves its password by SCRAM-SHA-256, and has the server prove that it knows it, too. [RFC 7677]

Belongs here: the client's half of the method, on the asyncio client.
Does not belong here: the server's (`scram`), AUTH packets (`client.authenticating`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reference_broker.access.packages import package
from reference_broker.access.scram import SCRAM
from reference_broker.client import AuthChallenge, Authenticated, ClientOptions, Connected, Event
from reference_broker.net.address import Address
from reference_broker.net.client import AsyncClient
from reference_broker.wire.types import ReasonCode


class NotTheServer(ConnectionError):
    """The server did not prove that it knows the password."""


class ScramClient(AsyncClient):
    """An AsyncClient with a user name and a password that does not leave it; for 5.0 only.

    A connection whose server does not prove itself is ended and never was one: `connect` raises ConnectionEnded, whose
    cause is NotTheServer.
    """

    def __init__(
        self, address: Address | str, username: str, password: str, options: ClientOptions | None = None, **more: Any
    ) -> None:
        """`more` is as for AsyncClient, which has no other `authenticator` here."""
        super().__init__(address, options, authenticator=self._meet_challenge, **more)
        self.options = replace(self.options, username=None, password=None)
        self._login = (username, password)
        self._exchange: Any = None

    async def prove_again(self) -> Authenticated:
        """Authenticate anew, both sides; raises ConnectionEnded where either proves nothing. [5.0 4.12.1]"""
        return await self.re_authenticate(self._first_message())

    def _first_message(self) -> bytes:
        self._exchange = package("scramp", "SCRAM").ScramClient([SCRAM], *self._login)
        return bytes(self._exchange.get_client_first().encode())

    async def _run_once(self) -> None:
        # each connection has a nonce of its own
        properties = replace(
            self.options.properties, authentication_method=SCRAM, authentication_data=self._first_message()
        )
        self.options = replace(self.options, properties=properties)
        await super()._run_once()

    async def _meet_challenge(self, challenge: AuthChallenge) -> bytes:
        self._exchange.set_server_first((challenge.data or b"").decode())
        return bytes(self._exchange.get_client_final().encode())

    def _take(self, event: Event) -> None:
        if isinstance(event, Connected | Authenticated):
            data = event.properties.authentication_data
            try:
                self._exchange.set_server_final((data or b"").decode())
            except Exception as error:
                self._leave(error)
                return
        super()._take(event)

    def _leave(self, error: Exception) -> None:
        assert self._link is not None
        self._challenge_error = NotTheServer(f"the server did not prove that it knows the password: {error}")
        self._is_stopping = True
        self._link.core.disconnect(self._link.now(), ReasonCode.UNSPECIFIED_ERROR)
        self._link.update()
