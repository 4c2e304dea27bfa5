"""MQTT in WebSocket frames: the frames' borders mean nothing, everything but binary frames ends the connection."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from reference_broker.net.address import Address, Transport
from reference_broker.net.websocket import WebSocketWrapping

REQUEST = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
)
"""The handshake of RFC 6455 1.3, for MQTT."""


def open_server(maximum_frame_size: int = 1000) -> WebSocketWrapping:
    server = WebSocketWrapping.server(maximum_frame_size)
    assert server.receive(REQUEST) == b""
    assert server.is_open
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in server.take_reply()
    return server


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def open_pair() -> tuple[WebSocketWrapping, WebSocketWrapping]:
    server = WebSocketWrapping.server()
    client = WebSocketWrapping.client(Address("h", 1, Transport.WS, path="/some/path?query=1"))
    request = client.take_reply()
    assert request.startswith(b"GET /some/path?query=1 HTTP/1.1\r\n")
    assert b"Sec-WebSocket-Protocol: mqtt\r\n" in request
    server.receive(request)
    client.receive(server.take_reply())
    assert client.is_open
    assert server.is_open
    return client, server


def test_several_packets_may_share_a_frame_and_a_packet_may_span_frames() -> None:
    """[5.0 MQTT-6.0.0-2]"""
    server = open_server()
    assert server.receive(frame(Opcode.BINARY, b"\xc0\x00\xc0\x00\xc0")) == b"\xc0\x00\xc0\x00\xc0"
    assert server.receive(frame(Opcode.BINARY, b"\x00")) == b"\x00"


def test_a_message_may_be_fragmented() -> None:
    server = open_server()
    assert server.receive(frame(Opcode.BINARY, b"a", fin=False)) == b"a"
    assert server.receive(frame(Opcode.CONT, b"b", fin=False) + frame(Opcode.CONT, b"c")) == b"bc"
    assert server.error is None


def test_frames_that_come_with_the_handshake_count() -> None:
    server = WebSocketWrapping.server()
    assert server.receive(REQUEST + frame(Opcode.BINARY, b"x")) == b"x"
    assert server.is_open


def test_a_text_frame_is_refused_after_what_came_before_it() -> None:
    """[5.0 MQTT-6.0.0-1]"""
    server = open_server()
    data = frame(Opcode.BINARY, b"before") + frame(Opcode.TEXT, b"text") + frame(Opcode.BINARY, b"after")
    assert server.receive(data) == b"before"
    assert "MQTT-6.0.0-1" in str(server.error)
    assert server.take_reply()[:4].startswith(b"\x88")  # a close frame
    assert server.receive(frame(Opcode.BINARY, b"late")) == b""


def test_a_ping_is_answered_with_its_data() -> None:
    server = open_server()
    assert server.receive(frame(Opcode.PING, b"hi")) == b""
    assert server.take_reply() == b"\x8a\x02hi"


def test_a_close_frame_is_answered_and_ends_the_stream() -> None:
    server = open_server()
    assert server.receive(frame(Opcode.BINARY, b"x") + frame(Opcode.CLOSE, b"\x03\xe8")) == b"x"
    assert server.has_ended
    assert server.error is None
    assert server.take_reply() == b"\x88\x02\x03\xe8"
    assert server.close() == b""
    assert server.send(b"late") == b""


@pytest.mark.parametrize("opcode", [Opcode.CLOSE, Opcode.PING, Opcode.PONG], ids=lambda opcode: opcode.name)
@pytest.mark.parametrize(
    ("size", "fin", "reason"), [(2, False, "fragmented control frame"), (126, True, "control frame too long")]
)
@pytest.mark.parametrize("by_client", [True, False], ids=["to the server", "to the client"])
def test_a_control_frame_in_fragments_or_too_long_is_no_goodbye(
    opcode: Opcode, size: int, fin: bool, reason: str, by_client: bool
) -> None:
    """The connection fails, with what came before it. [RFC 6455 5.5, 7.1.7]"""
    client, server = open_pair()
    receiver = server if by_client else client
    receiver.take_reply()
    payload = b"\x03\xe8" + b"r" * (size - 2)
    before = Frame(Opcode.BINARY, b"before").serialize(mask=by_client)
    wrong = Frame(Opcode.BINARY, payload).serialize(mask=by_client)  # the library makes no wrong one
    wire = before + bytes((0x80 * fin | opcode,)) + wrong[1:]
    assert receiver.receive(wire + Frame(Opcode.BINARY, b"after").serialize(mask=by_client)) == b"before"
    assert not receiver.has_ended
    assert reason in str(receiver.error)
    opened = receiver.take_reply()
    assert opened[0] == 0x88
    assert opened[1] & 0x7F >= 2  # a close frame with its code and reason
    assert receiver.receive(wire) == b""


def test_a_frame_over_the_limit_is_refused_before_it_arrived() -> None:
    server = open_server(maximum_frame_size=1000)
    assert server.receive(frame(Opcode.BINARY, bytes(1001))[:10]) == b""
    assert "1001" in str(server.error)


def test_fragments_over_the_limit_are_refused() -> None:
    server = open_server(maximum_frame_size=1000)
    server.receive(frame(Opcode.BINARY, bytes(900), fin=False) + frame(Opcode.CONT, bytes(101)))
    assert server.error is not None


def test_an_unmasked_frame_is_refused() -> None:
    """[RFC 6455 5.1]"""
    server = open_server()
    assert server.receive(Frame(Opcode.BINARY, b"x").serialize(mask=False)) == b""
    assert server.error is not None


def test_a_server_that_chooses_no_sub_protocol_is_refused() -> None:
    """[5.0 MQTT-6.0.0-4]"""
    server, client = WebSocketWrapping.server(), WebSocketWrapping.client(Address("h", 1, Transport.WS))
    server.receive(client.take_reply())
    answer = server.take_reply().replace(b"Sec-WebSocket-Protocol: mqtt\r\n", b"")
    assert client.receive(answer) == b""
    assert "sub-protocol" in str(client.error)
    assert not client.is_open


def test_a_refused_upgrade_names_the_status() -> None:
    client = WebSocketWrapping.client(Address("h", 1, Transport.WS))
    client.take_reply()
    client.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert "HTTP status 403" in str(client.error)


def test_only_binary_frames_are_sent() -> None:
    client, server = open_pair()
    assert server.send(b"x")[0] == 0x82
    assert client.send(b"x")[0] == 0x82


@given(st.lists(st.binary(min_size=1, max_size=200)), st.integers(min_value=1, max_value=50))
def test_bytes_survive_both_ways_however_they_are_cut(pieces: list[bytes], size: int) -> None:
    for sender, receiver in (open_pair(), open_pair()[::-1]):
        wire = b"".join(sender.send(piece) for piece in pieces)
        got = b"".join(receiver.receive(wire[start : start + size]) for start in range(0, len(wire), size))
        assert got == b"".join(pieces)


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_make_a_server_raise(data: bytes, after_the_handshake: bool) -> None:
    server = WebSocketWrapping.server()
    server.receive((REQUEST if after_the_handshake else b"") + data)
    server.take_reply()
    server.receive(data)
    server.close()


@given(st.lists(st.sampled_from(list(Opcode)), max_size=6), st.booleans(), st.booleans(), st.booleans())
def test_no_sequence_of_frames_makes_a_server_raise(
    opcodes: list[Opcode], fin: bool, with_the_handshake: bool, good: bool
) -> None:
    request = REQUEST if good else REQUEST.replace(b"mqtt\r\n", b"soap\r\n")
    frames = b"".join(frame(opcode, b"", fin=fin or opcode >= Opcode.CLOSE) for opcode in opcodes)
    server = WebSocketWrapping.server()
    for data in [request + frames] if with_the_handshake else [request, frames]:
        server.receive(data)
        server.take_reply()
    server.close()
    assert server.is_open or not good or server.error


FRAMES = st.one_of(
    st.tuples(st.integers(0, 300), st.integers(1, 40)).map(
        lambda size_and_count: b"".join(
            frame(Opcode.BINARY, bytes([n]) * size_and_count[0]) for n in range(size_and_count[1])
        )
    ),
    st.sampled_from(
        [
            frame(Opcode.PING, b"ping"),
            frame(Opcode.BINARY, b"one", fin=False),
            frame(Opcode.CONT, b"two", fin=False),
            frame(Opcode.CONT, b"three"),
            frame(Opcode.CONT),
            frame(Opcode.BINARY),
            frame(Opcode.BINARY, bytes(500)),
            frame(Opcode.BINARY, bytes(1001)),  # above the limit
            frame(Opcode.CLOSE, b"\x03\xe8"),
            Frame(Opcode.BINARY, b"bare").serialize(mask=False),
            frame(Opcode.BINARY, bytes(range(250)) * 3),
            frame(Opcode.CONT, bytes(range(250)) * 3, fin=False),
            frame(Opcode.PONG, b"p" * 125),
            frame(Opcode.PING, b"two"),
        ]
    ),
)


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 400), max_size=12))
def test_streams_of_frames_give_what_the_library_gives(frames: list[bytes], pieces: list[int]) -> None:
    """Cut anywhere, in the request too: the same bytes inside, the same replies, the same end."""
    stream = REQUEST + b"".join(frames)
    server, plain = WebSocketWrapping.server(1000), ServerProtocol(subprotocols=[Subprotocol("mqtt")], max_size=1000)
    inside = replies = expected = b""
    for data in (REQUEST, b"".join(frames)):
        plain.receive_data(data)
        for event in plain.events_received():
            if isinstance(event, Request):
                plain.send_response(plain.accept(event))
            elif isinstance(event, Frame) and event.opcode in {Opcode.BINARY, Opcode.CONT}:
                expected += bytes(event.data)
    for size in [*pieces, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        inside += server.receive(piece)
        replies += server.take_reply()
    assert inside == expected
    assert undated(replies) == undated(b"".join(plain.data_to_send()))
    assert (server.error is not None) == (plain.parser_exc is not None)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x89\xfe\x00\x7e",  # a ping of 126 bytes
        b"\x09\x81",  # a ping that is not the end of its message
        b"\xc2\x81",  # a reserved bit
        b"\x83\x81",  # an opcode nobody has
        b"\x80\xff" + bytes(5) + b"\x01\x00\x00",  # a continuation of nothing
        b"\x81\xff" + bytes(5) + b"\x01\x00\x00",  # text
    ],
)
def test_a_bad_frame_is_refused_for_its_header(bad: bytes) -> None:
    """Nobody waits for a payload that will not be taken, or keeps it. [RFC 6455 5.2, 5.5]"""
    server = open_server(100_000)
    assert server.receive(frame(Opcode.BINARY, b"x") + bad + bytes(4)) == b"x"
    assert server.error is not None
    assert server.take_reply().startswith(b"\x88")


def test_a_frame_is_passed_on_as_it_comes() -> None:
    """Whatever its size: it is the MQTT packets in it that are bounded."""
    server, payload = open_server(10_000_000), bytes(range(256)) * 4096
    for first, fin in ((Opcode.BINARY, True), (Opcode.BINARY, False), (Opcode.CONT, True)):
        wire = frame(first, payload, fin=fin)
        got = [server.receive(wire[start : start + 999]) for start in range(0, len(wire), 999)]
        assert all(985 <= len(part) <= 999 for part in got[:-1])
        assert b"".join(got) == payload
    assert server.error is None


def test_an_endless_upgrade_is_refused() -> None:
    server = WebSocketWrapping.server()
    assert server.receive(b"GET / HTTP/1.1\r\n") == b""
    for number in range(20):
        server.receive(b"X-%d: " % number + b"x" * 1000 + b"\r\n")
    assert "more than 16384 bytes" in str(server.error)
    assert len(server.take_reply()) < 1000
    long_at_once = WebSocketWrapping.server()
    long_at_once.receive(REQUEST[:-2] + b"X-0: xxxxxxxx\r\n" * 1200 + b"\r\n")
    assert long_at_once.error is not None
    assert not long_at_once.is_open


def undated(reply: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]*", b"", reply)


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536])
def test_a_servers_frames_are_those_of_the_library(size: int) -> None:
    assert open_server().send(bytes(size)) == Frame(Opcode.BINARY, bytes(size)).serialize(mask=False)
