"""What no output may show: the user name and password of a broker by its address, and what clients in the wild send.

Belongs here: leaving them out of texts, packets and bytes, before any of these becomes part of a record.
Does not belong here: which login is used where (`act`), what a record is (`tracing`, `play`).

Bytes keep their lengths, so that a capture made of them can still be read.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from urllib.parse import quote

from interop.tap.trace import TraceEntry
from reference_broker.wire.packets import Connect
from reference_broker.wire.types import PacketType

STARS = "***"
_SHORT = 4
"""A secret of fewer characters is left out of texts only where it stands by itself: a single letter is everywhere."""


class Secret:
    """A login that was given and must not be given away: its password, and in CONNECT packets its user name too.

    Where there is no password, the user name is a token and the secret.
    """

    def __init__(self, login: tuple[str, str | None]) -> None:
        username, password = login
        self._username = _binary(username)
        self._password = None if password is None else _binary(password)
        self._text = _pattern(self._password or self._username)

    def text(self, text: str) -> str:
        """A text of somebody else's (a log, an error) without the secret, plain or in a usual disguise."""
        return self._text.sub(STARS, text) if text else text

    def entry(self, seen: TraceEntry) -> TraceEntry:
        """An entry of a trace without the login."""
        packet, data = seen.packet, seen.data
        if isinstance(packet, Connect) and packet.username is not None and _binary(packet.username) == self._username:
            packet = replace(packet, username=STARS)
        if data and data[0] >> 4 == PacketType.CONNECT:
            data = self._masked(data)
        return replace(seen, packet=packet, data=data, note=self.text(seen.note))

    def _masked(self, data: bytes) -> bytes:
        """The bytes of a CONNECT, perhaps cut short or wrong: whole, the login stands at its end."""
        whole = _prefixed(self._username) + (b"" if self._password is None else _prefixed(self._password))
        at = data.rfind(whole)
        if at >= 0:
            return data[:at] + _stars(self._username, self._password) + data[at + len(whole) :]
        at = data.find(_prefixed(self._username))
        return data if at < 0 else data[: at + 2].ljust(len(data), b"*")


def without_password(seen: TraceEntry) -> TraceEntry:
    """An entry without the password of its CONNECT, whosever it is."""
    packet, data = seen.packet, seen.data
    if not isinstance(packet, Connect) or not packet.password or not data.endswith(packet.password):
        return seen
    return replace(seen, data=data[: -len(packet.password)].ljust(len(data), b"*"))


def _binary(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _prefixed(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _stars(*values: bytes | None) -> bytes:
    return b"".join(_prefixed(b"*" * len(value)) for value in values if value is not None)


def _pattern(secret: bytes) -> re.Pattern[str]:
    plain = secret.decode("utf-8", "backslashreplace")
    forms = {plain, repr(plain)[1:-1], repr(secret)[2:-1], quote(secret, safe=""), quote(secret)}
    forms |= {b64encode(secret).decode(), secret.hex(), secret.hex(" ")} if len(secret) >= _SHORT else set()
    some = sorted(filter(None, forms), key=len, reverse=True)
    whole = [re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)" for form in some]
    return re.compile("|".join(whole) or r"(?!)")
