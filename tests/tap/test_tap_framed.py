"""WebSocket through the tap, in virtual time: frames as they are, and its own where a fault changed something."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.tap.faults import Action, Cut, Delay, Drop, Frames, Freeze, Hold, How, Plan, When
from interop.tap.framed import FramedCrossing
from interop.tap.lane import STALL_SECONDS, Effect, End, Write
from interop.tap.trace import Kind, Sender, Trace
from interop.tap.websocket import Form, FrameReader, Opcode, Upgrade, frame
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import PingReq, Publish
from reference_broker.wire.types import PacketType, QoS, Version

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER
V311 = Version.V311
PING = encode(PingReq(), V311)
REQUEST = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nX-Own: 1\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
DEFLATED = RESPONSE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n"
BINARY, CONTINUATION = Opcode.BINARY, Opcode.CONTINUATION


def publish(payload: bytes) -> bytes:
    return encode(Publish("t", payload, QoS.AT_MOST_ONCE), V311)


A, B, C = publish(b"a"), publish(b"b"), publish(b"c")


class Rig:
    """One crossing behind its handshake, with a clock set by hand; collects what reaches each side."""

    def __init__(self, response: bytes = RESPONSE) -> None:
        self.now = 0.0
        self.trace = Trace(lambda: self.now)
        self.plan = Plan()
        self.crossing = FramedCrossing(self.trace, "pub", 1, V311, self.plan)
        self.arrived = {CLIENT: b"", BROKER: b""}
        self.ends: list[End] = []
        self.send(REQUEST, CLIENT)
        self.send(response, BROKER)
        assert self.arrived == {BROKER: REQUEST, CLIENT: response}
        self.arrived = {CLIENT: b"", BROKER: b""}

    def arm(self, packet: PacketType, action: Action, *, nth: int = 1, side: Sender = BROKER) -> None:
        self.plan.arm(When(packet, side, nth), action)

    def send(self, data: bytes, side: Sender = BROKER) -> None:
        self.perform(self.crossing.receive(side, data, self.now))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.crossing.handle_timer(self.now))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                self.arrived[effect.to] += effect.data
            else:
                self.ends.append(effect)

    def packets(self) -> list[str]:
        return [f"{each.packet.type.name if each.packet else each.kind} {each.fate}" for each in self.trace]

    def messages(self, side: Sender = CLIENT) -> list[bytes]:
        """What reached a side, as WebSocket messages; fragments have to follow each other as they must."""
        reader = FrameReader(side is BROKER, Upgrade(status=101))
        reader._in_handshake = False
        done: list[bytes] = []
        message: bytes | None = None
        for piece in reader.feed(self.arrived[side]):
            if piece.form is Form.DATA:
                assert (piece.opcode == CONTINUATION) == (message is not None)
                message = (message or b"") + piece.payload
                if piece.final:
                    done.append(message)
                    message = None
        assert len(reader) == 0
        assert message is None
        return done


# --- as they are ------------------------------------------------------------------------------------------------------


_PIECES = st.tuples(st.integers(0, 40), st.booleans(), st.sampled_from([None, Opcode.PING, Opcode.PONG]))


@st.composite
def frames(draw: st.DrawFn) -> tuple[Sender, list[bytes]]:
    """Reads of a stream of packets in frames, cut anywhere, control frames between fragments included."""
    side = draw(st.sampled_from([CLIENT, BROKER]))
    stream = b"".join(map(publish, draw(st.lists(st.binary(max_size=20), max_size=3))))
    masked = side is CLIENT
    raw, in_message = b"", False
    for size, is_last, control in draw(st.lists(_PIECES, min_size=1, max_size=8)):
        if control is not None:
            raw += frame(control, b"own", masked=masked)
        final = is_last or size >= len(stream)
        raw += frame(CONTINUATION if in_message else BINARY, stream[:size], final=final, masked=masked)
        stream, in_message = stream[size:], not final
    raw += frame(CONTINUATION if in_message else BINARY, stream, masked=masked)
    reads, size = [], draw(st.integers(1, 100))
    while raw:
        reads.append(raw[:size])
        raw = raw[size:]
    return side, reads


@given(frames(), st.booleans())
def test_without_a_fault_every_frame_arrives_byte_for_byte(sent: tuple[Sender, list[bytes]], stalls: bool) -> None:
    side, reads = sent
    rig = Rig()
    rig.perform(rig.crossing.receive(CLIENT, frame(BINARY, PING, masked=True), 0.0))
    start = len(rig.arrived[side.peer])
    for read in reads:
        rig.send(read, side)
    rig.wait(STALL_SECONDS * 2 if stalls else 0)
    assert rig.arrived[side.peer][start:] == b"".join(reads)
    assert all(each.kind in ("packet", "frame") for each in rig.trace)


def test_a_handshake_that_is_refused_passes_as_it_is_and_whatever_follows() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    rig = Rig(refusal)
    rig.send(b"\x82\x02\xc0\x00", CLIENT)
    assert rig.arrived[BROKER] == b"\x82\x02\xc0\x00"
    assert len(rig.trace) == 0


def test_text_passes_and_is_recorded_as_what_it_is_not() -> None:
    rig = Rig()
    rig.send(frame(Opcode.TEXT, PING))
    assert rig.arrived[CLIENT] == b"\x81\x02" + PING
    assert [(each.kind, each.sender, each.data) for each in rig.trace] == [("malformed", BROKER, PING)]


def test_a_close_frame_passes_as_it_is_and_its_sender_gets_one_and_fin() -> None:
    rig = Rig()
    rig.send(frame(Opcode.CLOSE, b"\x03\xe9bye"))
    assert rig.arrived[CLIENT] == b"\x88\x05\x03\xe9bye"
    assert rig.arrived[BROKER][:1] == b"\x88"
    assert rig.ends == [End(CLIENT, How.FIN), End(BROKER, How.FIN)]
    assert [(each.kind, each.sender, each.note) for each in rig.trace] == [("close", BROKER, "FIN")]


@pytest.mark.parametrize(
    ("first", "payload", "violation"),
    [
        (0x08, b"\x03\xe8", "fragmented control frame"),
        (0x88, b"\x03\xe8" + b"r" * 124, "control frame too long"),
        (0x0A, b"tap", "fragmented control frame"),
        (0xC8, b"\x03\xe8", "reserved bits must be 0"),
        (0x80, A, "unexpected continuation frame"),
    ],
)
def test_a_frame_that_may_not_stand_there_passes_and_says_nothing(first: int, payload: bytes, violation: str) -> None:
    """Neither goodbye nor MQTT, nor the answer to a PING of ours: its receiver fails the connection. [RFC 6455 5.5]"""
    rig = Rig()
    sent = frame(first & 0x0F, payload, masked=True)
    raw = bytes((first,)) + sent[1:]
    rig.send(raw, CLIENT)
    assert rig.arrived == {BROKER: raw, CLIENT: b""}
    assert rig.ends == []
    [entry] = [each for each in rig.trace.entries if each.data]
    assert (entry.kind, entry.sender, entry.note) == (Kind.FRAME, CLIENT, f"{violation} [RFC 6455 5]")
    rig.send(frame(BINARY, B, masked=True), CLIENT)  # who goes on nevertheless is heard
    assert rig.trace.entries[-1].data == B
    rig.send(frame(Opcode.CLOSE, b"\x03\xea"), BROKER)
    assert rig.ends


def test_a_new_message_among_the_fragments_of_another_is_none() -> None:
    """[RFC 6455 5.4]"""
    reader = FrameReader(False, Upgrade(101))
    reader.feed(RESPONSE)
    wire = frame(BINARY, A[:2], final=False) + frame(BINARY, B) + frame(CONTINUATION, A[2:])
    pieces = reader.feed(wire)
    assert [piece.form for piece in pieces] == [Form.DATA, Form.MALFORMED, Form.DATA]
    assert b"".join(piece.payload for piece in pieces if piece.form is Form.DATA) == A


def test_an_end_without_a_close_frame_stays_without_one() -> None:
    rig = Rig()
    rig.perform(rig.crossing.end(BROKER, How.FIN, 0.0))
    assert rig.arrived == {CLIENT: b"", BROKER: b""}
    assert rig.ends == [End(CLIENT, How.FIN), End(BROKER, How.FIN)]


def test_what_is_compressed_is_decoded_and_passes_as_it_is() -> None:
    rig = Rig(DEFLATED)
    deflater = zlib.compressobj(wbits=-15)
    for payload in (b"a" * 50, b"a" * 60):  # the second refers to the first
        data = deflater.compress(publish(payload)) + deflater.flush(zlib.Z_SYNC_FLUSH)
        raw = bytes([0xC2, len(data) - 4]) + data[:-4]
        rig.send(raw)
        assert rig.arrived[CLIENT].endswith(raw)
    assert [getattr(each.packet, "payload", None) for each in rig.trace] == [b"a" * 50, b"a" * 60]


def test_behind_a_change_compressed_messages_go_on_in_frames_of_our_own() -> None:
    rig = Rig(DEFLATED)
    rig.arm(PacketType.PUBLISH, Delay(0.1))
    deflater = zlib.compressobj(wbits=-15)
    for payload in (b"a" * 50, b"a" * 60):
        data = deflater.compress(publish(payload)) + deflater.flush(zlib.Z_SYNC_FLUSH)
        rig.send(bytes([0xC2, len(data) - 4]) + data[:-4])
        rig.wait(0.1)
    assert rig.messages() == [publish(b"a" * 50), publish(b"a" * 60)]


# --- changed ----------------------------------------------------------------------------------------------------------


def test_a_frame_of_which_a_packet_is_dropped_goes_on_with_the_others() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Drop(), nth=2)
    rig.send(frame(BINARY, A + B + C))
    assert rig.messages() == [A, C]


def test_frames_after_a_change_pass_as_they_are_again() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Drop())
    rig.send(frame(BINARY, A))
    rig.send(whole := frame(BINARY, B + C))
    assert rig.arrived[CLIENT] == whole


@pytest.mark.parametrize("dropped", [1, 2, 3])
def test_a_packet_dropped_out_of_fragments_leaves_whole_messages(dropped: int) -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Drop(), nth=dropped)
    stream = A + B + C
    for at, final in ((0, False), (3, False), (9, False), (12, True)):
        end = {0: 3, 3: 9, 9: 12, 12: len(stream)}[at]
        rig.send(frame(CONTINUATION if at else BINARY, stream[at:end], final=final))
    rig.send(last := frame(BINARY, PING))
    rig.wait(STALL_SECONDS)
    assert b"".join(rig.messages()) == b"".join(each for n, each in enumerate((A, B, C), 1) if n != dropped) + PING
    assert rig.arrived[CLIENT].endswith(last)


def test_a_packet_before_half_of_one_that_a_fault_waits_for_goes_on_after_a_moment() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Hold(), nth=2)
    rig.send(frame(BINARY, A + B[:3]))
    rig.wait(STALL_SECONDS)
    assert rig.messages() == [A]
    rig.send(frame(BINARY, B[3:] + C))
    assert rig.messages() == [A, C]
    rig.perform(rig.crossing.thaw(rig.now))
    assert rig.messages() == [A, C, B]


def test_control_frames_wait_with_what_is_frozen() -> None:
    rig = Rig()
    rig.crossing.freeze(Freeze(), 0.0)
    rig.send(frame(BINARY, A) + frame(Opcode.PING, b"x"))
    assert rig.arrived[CLIENT] == b""
    rig.perform(rig.crossing.thaw(0.0))
    assert rig.arrived[CLIENT] == frame(BINARY, A) + frame(Opcode.PING, b"x")
    assert [f"{each.kind} {each.fate}" for each in rig.trace][1:] == [
        "packet held", "frame held", "fault released", "packet released"]  # fmt: skip


@pytest.mark.parametrize("deliver", [True, False])
def test_a_cut_says_close_to_both_sides_behind_what_arrived_before(deliver: bool) -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Cut(How.FIN, deliver), nth=2)
    rig.send(frame(BINARY, A + B[:2]))
    rig.send(frame(BINARY, B[2:]))
    assert rig.messages() == [A, B] if deliver else [A]
    assert rig.arrived[CLIENT][-4:] == b"\x88\x02\x03\xe8"
    assert rig.arrived[BROKER][:2] == b"\x88\x82"
    assert [each.how for each in rig.ends] == [How.FIN, How.FIN]


# --- put into other frames --------------------------------------------------------------------------------------------

FORMS = [
    (Frames(4, fragmented=True), "02 04 30 04 00 01 | 80 02 74 61"),
    (Frames(4), "82 04 30 04 00 01 | 82 02 74 61"),
    (Frames(4, fragmented=True, between=("ping",)), "02 04 30 04 00 01 | 89 03 74 61 70 | 80 02 74 61"),
    (Frames(4, fragmented=True, between=("pong",)), "02 04 30 04 00 01 | 8a 03 74 61 70 | 80 02 74 61"),
    (Frames(4, fragmented=True, between=("empty",)), "02 04 30 04 00 01 | 00 00 | 80 02 74 61"),
    (Frames(4, between=("empty",)), "82 04 30 04 00 01 | 82 00 | 82 02 74 61"),
]


@pytest.mark.parametrize(("form", "wire"), FORMS)
def test_a_packet_is_put_into_the_frames_asked_for(form: Frames, wire: str) -> None:
    assert A.hex(" ") == "30 04 00 01 74 61"
    rig = Rig()
    rig.plan.frames[BROKER] = form
    rig.send(frame(BINARY, A))
    assert rig.arrived[CLIENT] == bytes.fromhex(wire.replace("|", ""))


def test_what_goes_on_together_shares_a_message_or_does_not() -> None:
    for together, messages in ((True, [A + B + C]), (False, [A, B, C])):
        rig = Rig()
        rig.plan.frames[BROKER] = Frames(together=together)
        rig.crossing.freeze(Freeze(), 0.0)
        for each in (A, B, C):
            rig.send(frame(BINARY, each))
        rig.perform(rig.crossing.thaw(0.0))
        assert rig.messages() == messages


def test_the_pong_to_a_ping_of_ours_goes_no_further_and_others_do() -> None:
    rig = Rig()
    rig.send(frame(Opcode.PONG, b"tap", masked=True), CLIENT)
    assert rig.arrived[BROKER] == b""
    rig.send(other := frame(Opcode.PONG, b"own", masked=True), CLIENT)
    assert rig.arrived[BROKER] == other
    assert [f"{each.kind} {each.fate} {each.note}" for each in rig.trace] == [
        "frame dropped PONG", "frame forwarded PONG"]  # fmt: skip


# --- the reader -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.integers(1, 50), st.booleans())
def test_no_bytes_make_the_reader_stumble_or_lose_any(data: bytes, step: int, is_client: bool) -> None:
    reader = FrameReader(is_client, Upgrade())
    stream = (REQUEST if is_client else DEFLATED) + data
    pieces = [piece for at in range(0, len(stream), step) for piece in reader.feed(stream[at : at + step])]
    assert b"".join(piece.raw for piece in pieces) + reader.take_rest() == stream


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("masked", [True, False])
def test_a_frame_of_ours_is_read_as_it_was_meant(size: int, masked: bool) -> None:
    reader = FrameReader(masked, Upgrade(status=101))
    reader._in_handshake = False
    (piece,) = reader.feed(frame(BINARY, bytes(size), masked=masked))
    assert (piece.form, piece.payload, piece.opcode, piece.final) == (Form.DATA, bytes(size), BINARY, True)
