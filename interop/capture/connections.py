"""What each connection of a capture said: which of them are MQTT, and their traces.

Belongs here: telling MQTT from all else, opening TLS, feeding recorders in the order of the capture.
Does not belong here: TCP (`streams`), TLS (`tls`), packets (`interop.monitor.recorder`), judging (`judging`).

A capture has much that is no MQTT, so nothing is taken for it that does not begin with a CONNECT that names the
protocol, or with a WebSocket handshake that asks for it: who gets that wrong is not accused here, but passed over.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from interop.capture.streams import Conversation, Heard
from interop.capture.tls import Keys, is_tls, opened
from interop.monitor.copier import Connection
from interop.monitor.recorder import Limits, Recorder, Room, WhyNot
from interop.tap.trace import Sender
from reference_broker.net.address import Transport

_CONNECT_BYTE = 0x10
_NAME_WITHIN_BYTES = 13  # a remaining length of up to four bytes, the name's length, the name


class PassedOver(StrEnum):
    """Why nothing is said about a connection; what a person can do about it, if anything."""

    NO_MQTT = "no MQTT"
    SILENT = "nobody said anything"
    BEFORE = "they began before the capture, so that nobody knows what is open in them"
    ENCRYPTED = "TLS: with a key log of either side (SSLKEYLOGFILE) --key-log FILE opens it"
    NO_KEYS = "TLS of which the key log has no keys, or with a cipher that cannot be opened"
    UNSEEN = "the capture does not have the bytes they began with"


@dataclass(frozen=True, slots=True)
class Told:
    """A connection with its recorder, and how it was seen."""

    conversation: Conversation
    connection: Connection

    @property
    def recorder(self) -> Recorder:
        """What it said."""
        return self.connection.recorder


@dataclass(slots=True)
class Gathered:
    """The MQTT of a capture; `order` has the recorder of each entry as they came, over all connections."""

    told: list[Told] = field(default_factory=list)
    passed_over: list[tuple[Conversation, PassedOver]] = field(default_factory=list)
    order: list[Told] = field(default_factory=list)


def gathered(found: Iterable[Conversation], keys: Keys | None, limits: Limits, until: float) -> Gathered:
    """Tell the connections of a capture that lasts `until`, in seconds since 1970; `keys` are of its TLS."""
    result = Gathered()
    room = Room()
    streams: list[Iterator[tuple[int, int, Heard]]] = []
    for conversation in found:
        is_encrypted = is_tls(conversation.first_bytes(of_client=True))
        plain = opened(conversation, keys) if is_encrypted and keys is not None else conversation
        transport = _transport(plain, is_encrypted=is_encrypted)
        if transport is None:
            why = _why_passed_over(plain, is_encrypted=is_encrypted, has_keys=keys is not None)
            result.passed_over.append((conversation, why))
            continue
        recorder = Recorder(plain.began, limits, room, has_frames=transport.is_websocket)
        recorder.until, recorder.round_trip_seconds = until, plain.round_trip_seconds
        place = len(result.told)
        connection = Connection(place + 1, str(plain.client), str(plain.broker), str(transport), recorder, plain.began)
        told = Told(conversation, connection)
        result.told.append(told)
        result.order.append(told)  # its OPEN
        streams.append(_numbered(plain.heard, place))
    for _, place, heard in heapq.merge(*streams, key=lambda each: each[0]):
        told = result.told[place]
        before = len(told.recorder.trace)
        _feed(told.recorder, heard)
        result.order += [told] * (len(told.recorder.trace) - before)
    for told in result.told:
        if told.recorder.why_not is not None:
            told.recorder.until = 0.0  # what came later was not looked at
        told.recorder.is_over = True
    return result


def _numbered(heard: Iterable[Heard], place: int) -> Iterator[tuple[int, int, Heard]]:
    return ((each.number, place, each) for each in heard)


def _feed(recorder: Recorder, heard: Heard) -> None:
    side = Sender.CLIENT if heard.is_client else Sender.BROKER
    if recorder.why_not is not None:
        return
    if heard.unknown:
        recorder.stop(WhyNot.UNSEEN, heard.unknown)
    elif heard.end:
        recorder.ended(side, heard.end, heard.at)
    else:
        recorder.received(side, heard.data, heard.at)


def _transport(plain: Conversation, *, is_encrypted: bool) -> Transport | None:
    """How MQTT is carried in it; None where there is none."""
    first = plain.first_bytes(of_client=True)
    if first[:4] == b"GET ":
        headers = first.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        asked = (line.partition(b":")[2] for line in headers if line.startswith(b"sec-websocket-protocol:"))
        is_mqtt, transports = any(b"mqtt" in each for each in asked), (Transport.WS, Transport.WSS)
    else:
        name = first[:_NAME_WITHIN_BYTES]
        is_mqtt = first[:1] == bytes((_CONNECT_BYTE,)) and (b"MQTT" in name or b"MQIsdp" in name)
        transports = Transport.TCP, Transport.TLS
    return transports[is_encrypted] if is_mqtt else None


def _why_passed_over(plain: Conversation, *, is_encrypted: bool, has_keys: bool) -> PassedOver:
    if is_encrypted and not has_keys:
        return PassedOver.ENCRYPTED
    if plain.first_bytes(of_client=True):
        return PassedOver.NO_MQTT if plain.is_whole else PassedOver.BEFORE
    if any(heard.unknown for heard in plain.heard):
        return PassedOver.NO_KEYS if is_encrypted else PassedOver.UNSEEN
    if plain.first_bytes(of_client=False):
        return PassedOver.NO_MQTT if plain.is_whole else PassedOver.BEFORE
    return PassedOver.SILENT
