"""Where a broker is found: host, port and what is wrapped around MQTT's bytes.

Belongs here: the address as a value, its URL form, the user name and password a URL may have.
Does not belong here: sockets, name look-ups and certificates' contents.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit


class Transport(StrEnum):
    """What carries MQTT's byte stream. [5.0 4.2, 5.0 6]"""

    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is the outermost wrapping."""
        return self in {Transport.TLS, Transport.WSS}

    @property
    def is_websocket(self) -> bool:
        """Whether MQTT's bytes travel in WebSocket frames."""
        return self in {Transport.WS, Transport.WSS}

    @property
    def beneath_websocket(self) -> Transport:
        """What carries the WebSocket frames, or MQTT itself where there are none."""
        return {Transport.WS: Transport.TCP, Transport.WSS: Transport.TLS}.get(self, self)


_SCHEMES = {Transport.TCP: "mqtt", Transport.TLS: "mqtts", Transport.WS: "ws", Transport.WSS: "wss"}
_TRANSPORTS = {scheme: transport for transport, scheme in _SCHEMES.items()} | {t.value: t for t in Transport}

DEFAULT_PORTS = {Transport.TCP: 1883, Transport.TLS: 8883, Transport.WS: 80, Transport.WSS: 443}
"""The ports IANA lists for MQTT, and those of HTTP. [5.0 4.2]"""


TlsVersion = Literal["1.2", "1.3"]


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """User name and password of a CONNECT; its text shows neither. [5.0 3.1.3.5, 3.1.3.6]"""

    username: str
    password: bytes | None = None

    def __repr__(self) -> str:
        return "Login(...)"


@dataclass(frozen=True, slots=True)
class Address:
    """One place to connect to or to listen on; port 0 lets the system pick one.

    `path` matters to a WebSocket client only, the rest to a TLS client: `ca_file` and `ca_folder` (whose files OpenSSL
    finds by their hashes) are what it trusts, what the system trusts besides with `trusts_system` or where neither is
    given; `cert_file` and `key_file` are its own certificate for servers that ask for one, and without
    `check_host_name` it takes the certificate of another host as well. It speaks TLS of `tls_minimum` and
    newer, and asks for the protocol `alpn` where one port has several. [RFC 7301]
    `unix_socket` takes the place of host and port, the host stays what a certificate is checked for and HTTP names.
    `login` is for clients that have none of their own; no text of the address shows it.
    Raises ValueError for a port outside 0 to 65,535.
    """

    host: str
    port: int
    transport: Transport = Transport.TCP
    path: str = "/mqtt"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    check_host_name: bool = True
    ca_folder: Path | None = None
    trusts_system: bool = False
    tls_minimum: TlsVersion = "1.2"
    alpn: str | None = None
    unix_socket: Path | None = None
    login: Login | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port} is not between 0 and 65535")

    @property
    def host_and_port(self) -> str:
        """`127.0.0.1:1883`, or `[::1]:1883`; the file of a Unix socket."""
        return join_host_and_port(self.host, self.port) if self.unix_socket is None else str(self.unix_socket)

    @property
    def is_loopback(self) -> bool:
        """Whether it can be reached from this machine only."""
        if self.unix_socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name, or empty for every interface
            return False

    @property
    def url(self) -> str:
        """The address as people write it: `mqtt://`, `mqtts://`, `ws://` or `wss://`; of a Unix socket `mqtt+unix:`."""
        if self.unix_socket is not None:
            return f"{_SCHEMES[self.transport]}+unix:{self.unix_socket}"
        path = self.path if self.transport.is_websocket else ""
        return f"{_SCHEMES[self.transport]}://{self.host_and_port}{path}"

    def __str__(self) -> str:
        return self.url

    @property
    def beneath_websocket(self) -> Address:
        """The same place for who carries WebSocket frames on without taking part."""
        if not self.transport.is_websocket:
            return self
        return dataclasses.replace(self, transport=self.transport.beneath_websocket)

    @classmethod
    def parse(cls, text: str, *, ca_file: Path | None = None) -> Address:
        """Read `host`, `host:port`, `[::1]:port` or a URL; raises ValueError that says what is expected.

        All of them may begin with `user:password@`, percent-encoded as in any URL.
        """
        shown = without_login(text)
        try:
            parts = urlsplit(text if "://" in text else f"mqtt://{text}")
            host = parts.hostname
        except ValueError:  # unbalanced brackets
            raise ValueError(f"{shown!r} is no address; expected host:port") from None
        transport = _TRANSPORTS.get(parts.scheme)
        if transport is None or not host:
            raise ValueError(f"{shown!r} is no address; expected host:port or a mqtt, mqtts, ws or wss URL")
        try:
            port = parts.port
        except ValueError:  # its text may be of a password
            encode = "; in a password, / ? # are percent-encoded" if "@" in text else ""
            raise ValueError(f"{shown!r} has no usable port, which is a number up to 65535{encode}") from None
        return cls(
            host,
            DEFAULT_PORTS[transport] if port is None else port,
            transport,
            path=parts.path or "/mqtt",
            ca_file=ca_file,
            login=_login(parts, shown),
        )


def _login(parts: SplitResult, shown: str) -> Login | None:
    if parts.username is None:
        return None
    try:
        username = unquote(parts.username, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{shown!r} has a user name that is no UTF-8") from None
    return Login(username, None if parts.password is None else unquote_to_bytes(parts.password))


def without_login(text: str) -> str:
    """An address, right or wrong, without what may be a user name and password: all before its last `@`."""
    scheme, separator, rest = text.partition("://")
    if not scheme.isalnum():  # what looks like one is in the login
        scheme, separator, rest = "", "", text
    return scheme + separator + rest.rpartition("@")[2]


def join_host_and_port(host: str, port: int) -> str:
    """Write `host:port`, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
