"""Open listening sockets, for streams and for the broker alike.

Belongs here: binding, and saying clearly why it failed; which wrapping an address needs.
Does not belong here: what happens on an accepted connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import itertools
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reference_broker.net.address import Address
from reference_broker.net.errors import AddressInUse, CertificateUnusable, ListenFailed, reason_of
from reference_broker.net.tls import TlsWrapping, client_context, server_context
from reference_broker.net.websocket import DEFAULT_MAXIMUM_FRAME_SIZE, WebSocketWrapping
from reference_broker.net.wrapping import Nested, Wrapping

_BACKLOG = 1024  # connections the kernel holds until we accept them; a burst of clients must not be refused

_FREE_PORTS = range(24_000, 32_000)
"""Where a free port is looked for: below what systems hand out (Linux from 32,768, others from 49,152).

To have the system choose one takes it a millisecond where thousands of connections have just ended.
"""
_TRIES = 20

_PROBES = 4
"""Questions without answer after which TCP takes a peer for gone."""

_ports: Iterator[int] = itertools.islice(itertools.cycle(_FREE_PORTS), random.randrange(len(_FREE_PORTS)), None)

MakeWrapping = Callable[[], Wrapping | None]
"""Makes what a new connection needs around MQTT; None for bare TCP."""


async def serve(
    address: Address, protocol: Callable[[], asyncio.Protocol], keepalive_seconds: int | None = None
) -> tuple[asyncio.Server, Address]:
    """Accept connections for `protocol`; gives the address with the port that was found. Raises as `bind` does.

    `keepalive_seconds` is after how long TCP notices that a silent peer is gone; None for never.
    """
    if address.unix_socket is not None:
        return await _serve_file(address.unix_socket, protocol), address
    sock = bind(address)
    if keepalive_seconds is not None:
        keep_alive(sock, keepalive_seconds)
    server = await asyncio.get_running_loop().create_server(protocol, sock=sock)
    return server, dataclasses.replace(address, port=sock.getsockname()[1])


def bind(address: Address) -> socket.socket:
    """Give a listening socket; a host name is bound at its first IPv4 address, else at its first IPv6 address.

    Port 0 stands for a free one. Raises AddressInUse or ListenFailed.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ListenFailed(f"cannot listen on {address.host_and_port}: {reason_of(error)}") from None
    family, *_, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    host, port, *more = where
    for free in itertools.islice(_ports, 0 if port else _TRIES):
        with contextlib.suppress(OSError):
            return _listening(family, (host, free, *more), address)
    try:
        return _listening(family, where, address)  # port 0: the system's choice
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"cannot listen on {address.host_and_port}: the port is already in use") from None
        raise ListenFailed(f"cannot listen on {address.host_and_port}: {reason_of(error)}") from None


def keep_alive(listener: socket.socket, seconds: int) -> None:
    """Have TCP ask peers that are silent for half of `seconds` whether they are there; connections inherit it.

    A client without keep alive whose machine is gone sends nothing, not even FIN: only this ends it. [RFC 9293 3.8.4]
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", seconds - seconds // 2),
        ("TCP_KEEPINTVL", max(1, seconds // 2 // _PROBES)),
        ("TCP_KEEPCNT", _PROBES),
    ):
        if (option := getattr(socket, name, None)) is not None:  # not every system has all of them
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


async def _serve_file(path: Path, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    """Listen on a Unix socket; the file of a server that is gone makes room."""
    loop = asyncio.get_running_loop()
    in_use = AddressInUse(f"cannot listen on {path}: the file is there already")
    try:
        if _is_served(path):
            raise in_use
        return await loop.create_unix_server(protocol, str(path), backlog=_BACKLOG)
    except ListenFailed:
        raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise in_use from None
        raise ListenFailed(f"cannot listen on {path}: {reason_of(error)}") from None


def _is_served(path: Path) -> bool:
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def _listening(family: int, where: tuple[Any, ...], address: Address) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where the protocol is named
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.host in {"", "::"} else 1)
        listener.bind(where)
        listener.listen(_BACKLOG)  # where two bound the same port, it is here that one of them fails
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def server_wrapping(
    address: Address,
    cert_file: Path | None,
    key_file: Path | None,
    maximum_frame_size: int = DEFAULT_MAXIMUM_FRAME_SIZE,
    websocket_type: type[WebSocketWrapping] = WebSocketWrapping,
) -> MakeWrapping:
    """Give what makes the wrapping of each accepted connection; raises CertificateUnusable."""

    def websocket() -> Wrapping:
        return websocket_type.server(maximum_frame_size)

    if not address.transport.is_encrypted:
        return websocket if address.transport.is_websocket else _bare
    if cert_file is None or key_file is None:
        raise CertificateUnusable(f"cannot listen on {address.url}: it needs a certificate and its key")
    context = server_context(cert_file, key_file)
    if address.transport.is_websocket:
        return lambda: Nested(TlsWrapping(context), websocket())
    return lambda: TlsWrapping(context)


def client_wrapping(address: Address, websocket_type: type[WebSocketWrapping] = WebSocketWrapping) -> Wrapping | None:
    """Give the wrapping of one connection to `address`; raises CertificateUnusable."""
    tls = None
    if address.transport.is_encrypted:
        context = client_context(
            address.ca_file,
            cert_file=address.cert_file,
            key_file=address.key_file,
            check_host_name=address.check_host_name,
            ca_folder=address.ca_folder,
            trusts_system=address.trusts_system,
            minimum=address.tls_minimum,
            alpn=address.alpn,
        )
        tls = TlsWrapping(context, server_hostname=address.host)
    if not address.transport.is_websocket:
        return tls
    websocket = websocket_type.client(address)
    return websocket if tls is None else Nested(tls, websocket)


def _bare() -> None:
    return None
