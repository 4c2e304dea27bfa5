"""SCRAM-SHA-256 as a method of enhanced authentication: the password is proved by both ends and never sent.

Belongs here: the server's half; the client's is in `scram_client`. The messages are the library's. [5.0 4.12, RFC 7677]
Does not belong here: AUTH packets (`broker.peers.authenticating`), where keys are kept (`passwords`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference_broker.access.packages import package
from reference_broker.access.passwords import ScramKeys
from reference_broker.broker.values.access import AuthenticationResult

SCRAM = "SCRAM-SHA-256"

_CONTINUE = AuthenticationResult.CONTINUE


class ScramProof:
    """One run of the method: the client's first message comes with CONNECT, or later; `keys_of` gives a user's keys."""

    name = SCRAM

    def __init__(self, keys_of: Callable[[str], ScramKeys]) -> None:
        self.username: str | None = None
        self.finished = False
        self._keys_of = keys_of
        self._server: Any = package("scramp", "SCRAM").ScramMechanism(SCRAM).make_server(self._find)
        self._is_begun = False

    def step(self, data: bytes | None) -> tuple[AuthenticationResult, bytes | None]:
        """Take what the client sent; returns how it stands and the Authentication Data to send."""
        if self.finished:
            return AuthenticationResult.FAILURE, None
        if data is None and not self._is_begun:
            self._is_begun = True
            return _CONTINUE, None  # nothing is to be said before the client's first message
        try:
            return self._answer((data or b"").decode())
        except Exception:
            self.finished = True
            return AuthenticationResult.FAILURE, None

    def _answer(self, message: str) -> tuple[AuthenticationResult, bytes | None]:
        self._is_begun = True
        if self.username is None:
            self._server.set_client_first(message)
            return _CONTINUE, self._server.get_server_first().encode()
        self.finished = True
        self._server.set_client_final(message)
        return AuthenticationResult.SUCCESS, self._server.get_server_final().encode()

    def _find(self, username: str) -> tuple[bytes, bytes, bytes, int]:
        self.username = username
        keys = self._keys_of(username)
        return keys.salt, keys.stored_key, keys.server_key, keys.iterations
