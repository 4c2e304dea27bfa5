"""What may lie between TCP and MQTT: a wrapping turns bytes of one into bytes of the other, without sockets.

Belongs here: the interface TLS and WebSocket share, and putting one inside the other.
Does not belong here: either of them (`tls`, `websocket`), or reading and writing (`connection`).
"""

from __future__ import annotations

from typing import Protocol

from reference_broker.net.errors import BadPeer


class Wrapping(Protocol):
    """A handshake, then bytes both ways, then a goodbye.

    After each call the owner writes what `take_reply` gives and looks at the attributes.
    """

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the handshake is over, so that `send` may be called."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether the peer said goodbye, so that nothing more will come."""
        ...

    @property
    def error(self) -> BadPeer | None:
        """How the peer broke the wrapping's rules; `take_reply` then gives what tells the peer so."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether `receive` stopped before the end of what it had, and goes on when it is called again."""
        ...

    def receive(self, data: bytes) -> bytes:
        """Take bytes from below and give those inside them, maybe none yet."""
        ...

    def send(self, data: bytes) -> bytes:
        """Wrap bytes for the peer."""
        ...

    def take_reply(self) -> bytes:
        """Give bytes the wrapping itself has to say: handshakes, pongs, alerts."""
        ...

    def close(self) -> bytes:
        """Say goodbye: the bytes after which the peer expects the end of the stream."""
        ...


class Nested:
    """A wrapping inside another: WebSocket inside TLS."""

    has_more = False

    def __init__(self, outer: Wrapping, inner: Wrapping) -> None:
        self._outer = outer
        self._inner = inner

    @property
    def name(self) -> str:
        """The name of the part that is busy."""
        return self._inner.name if self._outer.is_open else self._outer.name

    @property
    def is_open(self) -> bool:
        """Whether both handshakes are over."""
        return self._outer.is_open and self._inner.is_open

    @property
    def has_ended(self) -> bool:
        """Whether the peer said goodbye in either part."""
        return self._outer.has_ended or self._inner.has_ended

    @property
    def error(self) -> BadPeer | None:
        """How the peer broke either part's rules."""
        return self._outer.error or self._inner.error

    def receive(self, data: bytes) -> bytes:
        """Unwrap both."""
        inside = self._outer.receive(data)
        return self._inner.receive(inside) if inside else b""

    def send(self, data: bytes) -> bytes:
        """Wrap in both."""
        return self._outer.send(self._inner.send(data))

    def take_reply(self) -> bytes:
        """Give both parts' replies; the inner one has to wait for the outer handshake."""
        reply = self._outer.take_reply()
        if self._outer.is_open and (inside := self._inner.take_reply()):
            reply += self._outer.send(inside)
        return reply

    def close(self) -> bytes:
        """Say both goodbyes, the inner one first."""
        goodbye = self._inner.close()
        return (self._outer.send(goodbye) if goodbye and self._outer.is_open else b"") + self._outer.close()
