"""Connections that mean ill, and what they are answered, counted in words.

Belongs here: sending as much as the broker takes, and reading what it says. Does not belong here: what is sent
(`opening`, `keeping`, `streaming`), what has to hold (`playing`).
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Final, Self

from interop.bench.carrier import frame_header
from reference_broker.net.address import Address
from reference_broker.net.websocket import SUBPROTOCOL
from reference_broker.wire.decode import Reader
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import RemoteError
from reference_broker.wire.packets import (
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PubAck,
    PubRec,
    SubAck,
    Subscribe,
    Subscription,
)
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import Version

V5: Final = Version.V5
ACCEPTED, CLOSED, NOT_READ, RESUMED = "CONNACK 0x00", "closed", "not read", "CONNACK with its session"
"""What is counted beside packets with their reasons: the connection's end, and bytes the broker does not take."""

_NAMES: Final = count()
_PATIENCE_SECONDS: Final = 0.5
"""Who is not read for so long is not read."""
_ANSWER_SECONDS: Final = 20.0
_READ_BYTES: Final = 1 << 18
_UNREAD_BYTES: Final = 4096
_UPGRADE: Final = (
    b"GET /mqtt HTTP/1.1\r\nHost: attacked\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: " + SUBPROTOCOL.encode() + b"\r\n\r\n"
)


class Scene:
    """One wave of an attack; `answers` says how often each answer came. Ended, it closes what is open."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.answers: Counter[str] = Counter()
        self._attackers: list[Attacker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._attackers:
            each.close()

    def raw(self, *, reads: bool = True) -> Attacker:
        """A connection on which nothing was said yet; one that never `reads` has no room for what is not read."""
        attacker = Attacker(self, reads=reads)
        self._attackers.append(attacker)
        return attacker

    def websocket(self, *, reads: bool = True) -> Attacker:
        """A connection whose frames are still to come."""
        attacker = self.raw(reads=reads)
        attacker.send(_UPGRADE)
        attacker.skip_upgrade()
        return attacker

    def client(self, client_id: str = "", *, reads: bool = True, **fields: object) -> Attacker:
        """A connection with its CONNECT, the answer to which is still to come; `fields` may be properties."""
        attacker = (self.websocket if self.address.transport.is_websocket else self.raw)(reads=reads)
        attacker.send(connect(client_id or self.new_name(), **fields), is_mqtt=True)
        return attacker

    def connected(self, client_id: str = "", *, reads: bool = True, **fields: object) -> Attacker:
        """A client that is let in."""
        attacker = self.client(client_id, reads=reads, **fields)
        attacker.until(lambda: attacker.is_answered)
        return attacker

    def count(self, *words: str) -> int:
        """How often any of these was answered."""
        return sum(self.answers[word] for word in words)

    def new_name(self) -> str:
        """A client id nobody has had."""
        return f"attacker-{next(_NAMES)}"

    def read(self, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Read what comes to all, for so long or until it is enough; who is closed is done with."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for each in self._attackers:
                if not each.is_closed:
                    selector.register(each.socket, selectors.EVENT_READ, each)
            while not enough() and (left := until - time.monotonic()) > 0 and selector.get_map():
                for key, _ in selector.select(min(left, 0.1)):
                    key.data.take()
                    if key.data.is_closed:
                        selector.unregister(key.fileobj)


class Attacker:
    """One connection."""

    def __init__(self, scene: Scene, *, reads: bool) -> None:
        self.is_closed = False
        """Whether the broker ended it."""
        self.is_answered = False
        self._answered: Counter[str] = Counter()
        """Packets by the names of their types, less those that were waited for."""
        self.scene = scene
        self._reader = Reader(V5)
        self._is_websocket = False
        self.socket = socket.socket()
        self.socket.settimeout(_ANSWER_SECONDS)
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UNREAD_BYTES)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect((scene.address.host, scene.address.port))
        self.socket.setblocking(False)

    def send(self, data: bytes, *, is_mqtt: bool = False) -> bool:
        """Send it all, as fast as it is taken; whether it was. `is_mqtt`: in a frame, where there is WebSocket."""
        if is_mqtt and self._is_websocket:
            data = frame_header(len(data)) + data
        left = memoryview(data)
        patience = time.monotonic() + _PATIENCE_SECONDS
        while left and not self.is_closed:
            try:
                left = left[self.socket.send(left) :]
                patience = time.monotonic() + _PATIENCE_SECONDS
            except BlockingIOError:
                if time.monotonic() > patience:
                    self.scene.answers[NOT_READ] += 1
                    return False
                with selectors.DefaultSelector() as selector:
                    selector.register(self.socket, selectors.EVENT_WRITE)
                    selector.select(_PATIENCE_SECONDS / 10)
            except OSError:  # what it said before it closed is still to be read
                return False
        return not left

    def say(self, *packets: Packet) -> bool:
        """Send packets of 5.0 in one piece; whether they were taken."""
        return self.send(b"".join(encode(packet, V5) for packet in packets), is_mqtt=True)

    def skip_upgrade(self) -> None:
        """Read the answer to the upgrade."""
        self._is_websocket = True
        answer = b""
        self.socket.settimeout(_ANSWER_SECONDS)
        with suppress(OSError):
            while not answer.endswith(b"\r\n\r\n") and (byte := self.socket.recv(1)):
                answer += byte
        self.socket.setblocking(False)

    def until(self, enough: Callable[[], bool]) -> None:
        """Read until it is enough, the broker closes or is not heard of any more."""
        until = time.monotonic() + _ANSWER_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            while not enough() and not self.is_closed and time.monotonic() < until:
                if selector.select(0.1):
                    self.take()

    def until_answered(self, name: str, count: int = 1) -> None:
        """Read until so many more answers of a type of packet are there; filters are answered one by one."""
        self.until(lambda: self._answered[name] >= count)
        self._answered[name] -= count

    def subscribe(self, subscription: Subscription) -> None:
        """Subscribe, and wait for SUBACK."""
        self.say(Subscribe(1, (subscription,)))
        self.until_answered("SUBACK")

    def take(self) -> None:
        """Count what came."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.is_closed = True
            self.scene.answers[CLOSED] += 1
            return
        self.is_answered = True
        if self._is_websocket:
            return
        self._reader.feed(data)
        with suppress(RemoteError):
            for packet in self._reader:
                words = _words(packet)
                self.scene.answers.update(words)
                self._answered[packet.type.name] += len(words)

    def leave(self) -> None:
        """Say DISCONNECT, and wait until the broker has seen it."""
        self.say(Disconnect())
        self.until(lambda: False)
        self.scene.answers[CLOSED] -= self.is_closed

    def close(self) -> None:
        """Be gone without a word."""
        self.is_closed = True
        self.socket.close()


def connect(client_id: str, **fields: object) -> bytes:
    """A CONNECT of 5.0."""
    properties = {name: fields.pop(name) for name in list(fields) if name not in Connect.__dataclass_fields__}
    return encode(
        Connect(V5, client_id, properties=Properties(**properties), **fields),  # type: ignore[arg-type]
        V5,
    )


def _words(packet: Packet) -> list[str]:
    name = packet.type.name
    if isinstance(packet, SubAck):
        return [f"{name} 0x{reason:02X}" for reason in packet.reasons]
    if isinstance(packet, ConnAck) and packet.session_present:
        return [ACCEPTED, RESUMED]
    if isinstance(packet, ConnAck | PubAck | PubRec | Disconnect):
        return [f"{name} 0x{packet.reason:02X}"]
    return [name]
