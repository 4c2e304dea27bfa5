"""What a release of Paho before 2.0 says otherwise, said as Paho 2 says it, so that one adapter does for both.

Belongs here: telling the releases apart, the callbacks of Paho 1 in the shape of those of Paho 2.
Does not belong here: what they mean (`paho`), or what Paho 1 has not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from paho.mqtt import client, reasoncodes

_callbacks: Any = getattr(client, "CallbackAPIVersion", None)
IS_1 = _callbacks is None

ASKED: Mapping[str, Any] = MappingProxyType({} if IS_1 else {"callback_api_version": _callbacks.VERSION2})
"""What a client is made with, to be called back as Paho 2 does."""

LACKS = ("manual-ack", "reason-codes") if IS_1 else ()
"""Features of Paho 2 only: its application acknowledges, and `on_publish` is told the reason."""

reason_code: Callable[..., Any] = reasoncodes.ReasonCodes if IS_1 else reasoncodes.ReasonCode
"""Makes one, e.g. for DISCONNECT."""

REFUSALS = MappingProxyType({1: 132, 2: 133, 3: 136, 4: 134, 5: 135})
"""The return codes of a 3.x CONNACK, each with the 5.0 reason code of the same meaning, which is what Paho 2 shows."""

_SUCCESS, _UNSPECIFIED, _PROTOCOL_ERROR, _KEEP_ALIVE_TIMEOUT = 0, 128, 130, 141
_LOSSES: Mapping[int, int] = MappingProxyType(
    {
        int(client.MQTT_ERR_SUCCESS): _SUCCESS,
        int(client.MQTT_ERR_PROTOCOL): _PROTOCOL_ERROR,
        int(client.MQTT_ERR_KEEPALIVE): _KEEP_ALIVE_TIMEOUT,
    }
)
"""By what Paho 1 gives for the end of a connection, what Paho 2 gives; for any other error it is unspecified."""

_FAILURE = 0x80


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason code; Paho 1 has an int in its place in 3.x, and one without `is_failure` in 5.0."""

    value: int

    @property
    def is_failure(self) -> bool:
        """Whether it is one of an error."""
        return self.value >= _FAILURE

    def __str__(self) -> str:
        return f"reason {self.value}"


@dataclass(frozen=True, slots=True)
class Flags:
    """Those of CONNACK, or of the end of a connection."""

    session_present: bool = False
    is_disconnect_packet_from_server: bool = False


def said_as_in_2(name: str, callback: Callable[..., None]) -> Callable[..., None]:
    """What this release calls as `on_NAME`, so that a callback of Paho 2 is called."""
    said = _SAID_AS_IN_2.get(name) if IS_1 else None
    return said(callback) if said else callback


def _connect(tell: Callable[..., None]) -> Callable[..., None]:
    def told(_c: Any, _u: Any, flags: Mapping[str, int], code: Any, properties: Any = None) -> None:
        reason = REFUSALS.get(code, _UNSPECIFIED if code else _SUCCESS) if isinstance(code, int) else code.value
        tell(_c, _u, Flags(session_present=bool(flags["session present"])), Reason(reason), properties)

    return told


def _subscribe(tell: Callable[..., None]) -> Callable[..., None]:
    return lambda _c, _u, number, codes, properties=None: tell(_c, _u, number, _reasons(codes), properties)


def _unsubscribe(tell: Callable[..., None]) -> Callable[..., None]:
    return lambda _c, _u, number, properties=None, codes=(): tell(_c, _u, number, _reasons(codes), properties)


def _publish(tell: Callable[..., None]) -> Callable[..., None]:
    return lambda _c, _u, number: tell(_c, _u, number, Reason(_SUCCESS), None)


def _disconnect(tell: Callable[..., None]) -> Callable[..., None]:
    def told(_c: Any, _u: Any, code: Any, properties: Any = None) -> None:
        is_sent = not isinstance(code, int)
        reason: int = code.value if is_sent else _LOSSES.get(int(code), _UNSPECIFIED)
        tell(_c, _u, Flags(is_disconnect_packet_from_server=is_sent), Reason(reason), properties)

    return told


_SAID_AS_IN_2: Mapping[str, Callable[[Callable[..., None]], Callable[..., None]]] = MappingProxyType(
    {
        "connect": _connect,
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
        "publish": _publish,
        "disconnect": _disconnect,
    }
)


def _reasons(codes: Any) -> list[Reason]:
    """Of numbers or codes; of one alone, too, as Paho 1 has the reason of an UNSUBACK with one."""
    several = codes if isinstance(codes, (list, tuple)) else (codes,)
    return [Reason(code if isinstance(code, int) else code.value) for code in several]
