"""Attacks by those who are not let in yet, or who come too many or too often.

Belongs here: connections, handshakes, CONNECT. Does not belong here: what clients do (`keeping`, `streaming`).
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from interop.attack.attacker import ACCEPTED, CLOSED, Scene
from interop.attack.attacks import HIGH, KIBI, MEBI, SLACK_BYTES, Attack
from reference_broker.net.address import Transport
from reference_broker.wire.varint import encode_varint

_WILL_FLAG: Final = 0x04
_ANSWER_SECONDS: Final = 3.0
_GUESSES: Final = 60
_HASH_BYTES: Final = 64 * MEBI
"""What one hash takes while it is computed. [RFC 9106 4]"""
_CROWD: Final = 300
_HASTY: Final = 60
_ROOM: Final = 100
"""How many of the crowd there is room for."""


def _begun_connect(size_bytes: int, flags: int = 0) -> bytes:
    """The beginning of a CONNECT of 5.0 that says to have so many bytes."""
    return b"\x10" + encode_varint(size_bytes) + b"\x00\x04MQTT\x05" + bytes((flags,)) + b"\x00\x00\x00"


def _crowd(scene: Scene) -> None:
    for _ in range(_CROWD):
        scene.client()
    scene.read(_ANSWER_SECONDS, lambda: scene.count(ACCEPTED, CLOSED) >= _CROWD)


def _silent_crowd(scene: Scene) -> None:
    for _ in range(_CROWD):
        scene.raw()
    scene.read(0.3)


def _slow_crowd(scene: Scene) -> None:
    """A byte now and then."""
    connect = _begun_connect(200)
    crowd = [scene.raw() for _ in range(_CROWD)]
    for place in range(len(connect)):
        for each in crowd:
            each.send(connect[place : place + 1])
        scene.read(0.1)


def _hasty_crowd(scene: Scene) -> None:
    """Until more are let in than four seconds' worth, and what is under way; a busy machine may take that long."""
    until = time.monotonic() + 4.0
    for _ in range(_CROWD):
        scene.client()
    scene.read(max(0.5, until - time.monotonic()), lambda: scene.count(ACCEPTED) > _HASTY)


def _large_connects(size_bytes: int, flags: int, sent_bytes: int, count: int, scene: Scene) -> None:
    for _ in range(count):
        scene.raw().send(_begun_connect(size_bytes, flags) + bytes(sent_bytes))
        scene.read(0.0)
    scene.read(0.3)


def _endless_requests(scene: Scene) -> None:
    for _ in range(50):
        attacker = scene.raw()
        attacker.send(b"GET /mqtt HTTP/1.1\r\n")
        for number in range(40):
            attacker.send(b"X-%d: " % number + b"x" * KIBI + b"\r\n")
    scene.read(0.5, lambda: scene.count(CLOSED) >= 50)


def _guessing_crowd(scene: Scene) -> None:
    for number in range(_GUESSES):
        scene.client(username="bystander", password=b"guess %d" % number)
    scene.read(3 * _ANSWER_SECONDS, lambda: scene.count("CONNACK 0x86", "CONNACK 0x9F") >= _GUESSES)


def _large_guesses(scene: Scene) -> None:
    """More than may wait for their passwords to be looked at, and each as large as it may be."""
    for number in range(2 * _CROWD):
        scene.client(username=f"u{number}", password=bytes(60 * KIBI), client_id="c")
        scene.read(0.0)
    scene.read(0.5)


def _large_pings(scene: Scene) -> None:
    """A control frame of 64 MiB, which is never whole. [RFC 6455 5.5]"""
    for _ in range(20):
        attacker = scene.websocket()
        attacker.send(b"\x89\xff" + (64 * MEBI).to_bytes(8, "big") + bytes(4))
        for _ in range(16):
            attacker.send(bytes(256 * KIBI))
    scene.read(0.5, lambda: scene.count(CLOSED) >= 20)


ATTACKS: Final = (
    Attack(
        "maximum_connections",
        f"{_CROWD} clients come at once",
        _crowd,
        {"maximum_connections": _ROOM + 1},
        "CONNACK 0x97",
        {ACCEPTED: _ROOM},
        raised={"maximum_connections": HIGH},
    ),
    Attack(
        "maximum_connections_per_address",
        f"{_CROWD} clients come from one address",
        _crowd,
        {"maximum_connections_per_address": _ROOM + 1},
        CLOSED,
        {ACCEPTED: _ROOM},
        raised={"maximum_connections_per_address": HIGH},
    ),
    Attack(
        "file handles, one for each connection",
        f"{_CROWD} clients come where there are handles for fewer",
        _crowd,
        expects=CLOSED,
        at_most={ACCEPTED: _ROOM},
        handles=_ROOM + 65,
    ),
    Attack(
        "maximum_half_open",
        f"{_CROWD} connections say nothing",
        _silent_crowd,
        {"maximum_half_open": _ROOM},
        CLOSED,
        raised={"maximum_half_open": HIGH},
    ),
    Attack(
        "connect_timeout_seconds",
        f"{_CROWD} connections say a byte now and then",
        _slow_crowd,
        {"connect_timeout_seconds": 0.5},
        CLOSED,
        raised={"connect_timeout_seconds": 3600.0},
    ),
    Attack(
        "maximum_connect_size",
        "100 CONNECT packets without will begin, of 400 KiB each",
        partial(_large_connects, 400 * KIBI, 0, 60 * KIBI, 100),
        expects="CONNACK 0x95",
        raised={"maximum_connect_size": HIGH},
    ),
    Attack(
        "maximum_connect_size_with_will",
        "100 CONNECT packets with a will begin, of 100 MiB each",
        partial(_large_connects, 100 * MEBI, _WILL_FLAG, 400 * KIBI, 100),
        expects="CONNACK 0x95",
        raised={"maximum_connect_size_with_will": HIGH},
    ),
    Attack(
        "opening_maximum_bytes",
        "300 CONNECT packets with a will come but for their ends, of 400 KiB each",
        partial(_large_connects, 410 * KIBI, _WILL_FLAG, 400 * KIBI, 300),
        expects=CLOSED,
        most_bytes=64 * MEBI + SLACK_BYTES,
        raised={"opening_maximum_bytes": HIGH},
    ),
    Attack(
        "the request of a WebSocket upgrade",
        "50 requests of headers without end",
        _endless_requests,
        expects=CLOSED,
        transport=Transport.WS,
    ),
    Attack(
        "WebSocket frames: payloads are handed on as they come, only control frames are kept",
        "20 pings of 64 MiB each begin",
        _large_pings,
        expects=CLOSED,
        transport=Transport.WS,
    ),
    Attack(
        "maximum_failed_logins_per_minute",
        f"{_GUESSES} clients guess a password at once",
        _guessing_crowd,
        {"maximum_failed_logins_per_minute": 2},
        "CONNACK 0x9F",
        {"CONNACK 0x86": 3},
        most_bytes=_HASH_BYTES + SLACK_BYTES,
        raised={"maximum_failed_logins_per_minute": HIGH},
        has_users=True,
    ),
    Attack(
        "others' time while passwords are hashed, beside the event loop",
        f"{2 * _CROWD} clients guess passwords of 60 KiB at once, from an address that may",
        _large_guesses,
        {"maximum_failed_logins_per_minute": HIGH, "opening_maximum_bytes": 16 * MEBI},
        CLOSED,
        most_bytes=_HASH_BYTES + 16 * MEBI + SLACK_BYTES,
        has_users=True,
    ),
    Attack(
        "maximum_connects_per_second",
        f"{_CROWD} clients come from one address at once",
        _hasty_crowd,
        {"maximum_connects_per_second": 2},
        at_most={ACCEPTED: _HASTY},
        raised={"maximum_connects_per_second": HIGH},
    ),
)
