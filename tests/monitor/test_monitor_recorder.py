"""What the monitor makes of one connection's bytes, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.monitor.recorder import STALL_SECONDS, Limits, Recorder, Room, WhyNot
from interop.tap.trace import Kind, Sender
from interop.tap.websocket import Opcode, frame
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Packet, PingReq, PingResp, PubAck, Publish
from reference_broker.wire.types import QoS, Version

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER
V311, V5 = Version.V311, Version.V5


def connection(limits: Limits = Limits(), version: Version = V311) -> Recorder:  # noqa: B008 - frozen
    recorder = Recorder(0.0, limits, Room())
    say(recorder, CLIENT, Connect(version, "c", keep_alive=0), version)
    say(recorder, BROKER, ConnAck(), version)
    return recorder


def say(recorder: Recorder, side: Sender, packet: Packet, version: Version = V311, at: float = 1.0) -> None:
    recorder.received(side, encode(packet, version), at)


def publish(packet_id: int = 1, *, dup: bool = False) -> Publish:
    return Publish("t", b"x", QoS.AT_LEAST_ONCE, dup=dup, packet_id=packet_id)


def rules(recorder: Recorder) -> list[str]:
    return [finding.rule for finding in recorder.new_findings()]


def test_a_healthy_connection_breaks_nothing() -> None:
    recorder = connection()
    say(recorder, CLIENT, publish())
    say(recorder, BROKER, PubAck(1))
    recorder.ended(CLIENT, "FIN", 2.0)
    assert rules(recorder) == []
    assert (recorder.packets, recorder.client_id, recorder.version) == (4, "c", V311)


def test_times_count_from_the_beginning_of_the_connection() -> None:
    recorder = Recorder(1000.0, Limits(), Room())
    say(recorder, CLIENT, Connect(V311, "c"), at=1000.5)
    recorder.ended(CLIENT, "RST", 1002.0)
    assert [entry.at for entry in recorder.trace] == [0.0, 0.5, 2.0]


def test_a_broken_statement_is_told_once_with_its_number() -> None:
    recorder = connection()
    for _ in range(2):
        say(recorder, CLIENT, publish())
    (finding,) = recorder.new_findings()
    assert (finding.rule, finding.blame, finding.cites) == ("redelivery-with-dup", CLIENT, ("MQTT-3.3.1-1",))
    assert recorder.entry(finding).packet == publish()
    say(recorder, CLIENT, publish(2))
    assert rules(recorder) == []
    assert recorder.findings == [finding]


def test_nothing_is_judged_while_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = connection()
    recorder.new_findings()
    monkeypatch.setattr("interop.monitor.recorder.judge", lambda *_, **__: pytest.fail("judged again"))
    assert recorder.new_findings() == []


def test_a_rule_that_stumbles_changes_nothing_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = connection()
    monkeypatch.setattr("interop.monitor.recorder.judge", _stumbles)
    with pytest.raises(ZeroDivisionError):
        recorder.look()
    assert recorder.has_news


def test_the_version_is_that_of_the_connect() -> None:
    recorder = connection(version=V5)
    say(recorder, BROKER, Publish("t", b"x", packet_id=None), V5)
    assert (recorder.version, recorder.why_not) == (V5, None)


def test_bytes_that_cannot_be_decoded_are_noted_once_and_what_follows_is_left_alone() -> None:
    recorder = connection()
    recorder.received(CLIENT, b"\x00\x00", 1.0)
    for side in (CLIENT, BROKER, CLIENT):
        say(recorder, side, PubAck(7))
    recorder.ended(BROKER, "FIN", 9.0)
    assert [entry.kind for entry in recorder.trace] == [Kind.OPEN, Kind.PACKET, Kind.PACKET, Kind.MALFORMED]
    assert (recorder.why_not, recorder.packets) == (WhyNot.UNDECODED, 2)
    assert [(each.rule, each.blame) for each in recorder.new_findings()] == [("well-formed", CLIENT)]


@pytest.mark.parametrize(
    "first",
    [
        b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        bytes.fromhex("1603010005 0100000130"),
        b"\xff\xff\xff\xff\xff\xff",
    ],
    ids=["http", "tls", "noise"],
)
def test_another_protocol_breaks_no_statement_of_this_one(first: bytes) -> None:
    recorder = Recorder(0.0, Limits(), Room())
    recorder.received(CLIENT, first, 1.0)
    recorder.received(BROKER, first, 1.0)
    recorder.ended(BROKER, "FIN", 2.0)
    assert (recorder.why_not, rules(recorder)) == (WhyNot.NO_MQTT, [])
    assert recorder.size_bytes == 2 * len(first)


def test_a_level_of_protocol_that_is_not_known_is_no_breach() -> None:
    """Bridges say level 0x84 to each other; what they agree on is theirs."""
    recorder = Recorder(0.0, Limits(), Room())
    recorder.received(CLIENT, bytes.fromhex("100d 0004 4d515454 84 02 0000 0001 63"), 1.0)
    say(recorder, BROKER, ConnAck())
    assert (recorder.why_not, rules(recorder)) == (WhyNot.NO_MQTT, [])
    assert "level 132" in recorder.not_judged


def test_the_answer_to_a_malformed_connect_is_not_held_against_the_broker() -> None:
    """Nobody can tell by which version to read it."""
    recorder = Recorder(0.0, Limits(), Room())
    recorder.received(CLIENT, bytes.fromhex("100e 0004 4d515454 05 03 0000 00 0001 63"), 1.0)  # a reserved flag
    say(recorder, BROKER, ConnAck(), V5)
    assert [(each.rule, each.blame) for each in recorder.new_findings()] == [("well-formed", CLIENT)]


def test_a_connection_that_says_nothing_breaks_nothing() -> None:
    recorder = Recorder(0.0, Limits(), Room())
    recorder.ended(CLIENT, "FIN", 1.0)
    assert (rules(recorder), recorder.why_not) == ([], None)


def test_why_a_broker_ended_a_silent_connection_is_not_guessed() -> None:
    """The client may have come back on another connection, which ends this one."""
    recorder = Recorder(0.0, Limits(), Room())
    say(recorder, CLIENT, Connect(V311, "c", keep_alive=10))
    say(recorder, BROKER, ConnAck())
    recorder.ended(BROKER, "FIN", 12.0)
    assert recorder.look()[1] != []
    assert rules(recorder) == []


def test_what_was_left_untaken_proves_nothing_about_times() -> None:
    """While a client takes no bytes the broker's answers are not read, however soon it gave them."""
    recorder = connection()
    recorder.blocked(BROKER, 2.0)
    say(recorder, CLIENT, publish(), at=2.5)
    assert recorder.packets == 3
    say(recorder, CLIENT, publish(2), at=2.1 + STALL_SECONDS)
    recorder.unblocked(BROKER, 60.0)
    say(recorder, BROKER, PubAck(1), at=60.0)
    assert (recorder.why_not, recorder.packets, rules(recorder)) == (WhyNot.STALLED, 3, [])


def test_a_short_pause_stops_nothing() -> None:
    recorder = connection()
    recorder.blocked(BROKER, 2.0)
    recorder.unblocked(BROKER, 2.5)
    say(recorder, CLIENT, publish(), at=9.0)
    assert (recorder.why_not, recorder.packets) == (None, 3)


def test_all_connections_share_one_room_and_give_back_what_they_took() -> None:
    room = Room(left_bytes=1200)
    first, second = Recorder(0.0, Limits(), room), Recorder(0.0, Limits(), room)
    say(first, CLIENT, Connect(V311, "a"))
    say(first, BROKER, ConnAck())
    say(second, CLIENT, Connect(V311, "b"))
    assert (first.why_not, second.why_not) == (None, WhyNot.MEMORY)
    first.forget()
    assert room == Room(left_bytes=1200)


def test_beyond_the_limit_a_connection_is_only_copied_and_its_end_proves_nothing() -> None:
    recorder = connection(Limits(packets=3))
    for packet_id in (1, 2, 3):
        say(recorder, CLIENT, publish(packet_id))
    recorder.ended(CLIENT, "FIN", 99.0)
    assert recorder.packets == 3
    assert recorder.not_judged == "more than is kept of one connection: 3 packets"
    assert rules(recorder) == []  # PUBACK is not missing: nobody looked for it


def test_no_more_bytes_are_kept_than_the_limit_half_packets_included() -> None:
    recorder = connection(Limits(size_bytes=1000))
    recorder.received(CLIENT, b"\x30\xff\xff\x7f" + bytes(2000), 1.0)
    assert recorder.not_judged
    recorder.received(CLIENT, bytes(2000), 1.0)
    assert recorder.size_bytes > 4000


def test_what_only_other_connections_can_tell_is_not_judged() -> None:
    """A message nobody here published, on a topic subscribed to earlier, breaks nothing that is known."""
    recorder = connection()
    for _ in range(2):
        say(recorder, BROKER, Publish("somewhere/else", b"same", retain=True))
    recorder.ended(BROKER, "FIN", 9.0)
    assert rules(recorder) == []


@given(st.lists(st.tuples(st.sampled_from([CLIENT, BROKER]), st.binary(max_size=40)), max_size=30))
def test_no_bytes_make_the_recorder_stumble(said: list[tuple[Sender, bytes]]) -> None:
    recorder = connection()
    for side, data in said:
        recorder.received(side, data, 1.0)
    recorder.ended(CLIENT, "FIN", 2.0)
    recorder.ended(BROKER, "RST", 2.0)
    assert recorder.size_bytes >= sum(len(data) for _, data in said)
    for finding in recorder.new_findings():
        assert recorder.entry(finding).index == finding.trace_index


def _stumbles(*_: object, **__: object) -> None:
    raise ZeroDivisionError


# --- what comes later -------------------------------------------------------------------------------------------------


SLOW = encode(Publish("t", bytes(1000)), V311)


def waiting(*, version: Version = V311) -> Recorder:
    """A client with a keep alive of 2 s that pings on and gets no answer yet."""
    recorder = Recorder(0.0, Limits(), Room())
    say(recorder, CLIENT, Connect(version, "c", keep_alive=2), version, at=0.0)
    say(recorder, BROKER, ConnAck(), version, at=0.0)
    return recorder


def test_a_client_behind_a_slow_packet_is_right_to_stay_and_its_server_to_be_late() -> None:
    recorder = waiting()
    told = []
    for tenth in range(100):  # 10 s, looked at all the time
        recorder.received(BROKER, SLOW[10 * tenth : 10 * tenth + 10], tenth / 10)
        if tenth % 20 == 19:
            say(recorder, CLIENT, PingReq(), at=tenth / 10)
        told += recorder.new_findings()
        if tenth == 86:  # the trace of that moment alone would be wrong
            assert {each.rule for each in recorder.look()[1]} == {"gives-up-without-pingresp"}
    recorder.received(BROKER, SLOW[1000:], 10.0)
    for _ in range(5):
        say(recorder, BROKER, PingResp(), at=10.0)
    assert (told, rules(recorder)) == ([], [])
    assert recorder.trace.entries[-6].began == 0.0


def test_a_client_that_takes_long_to_send_is_not_silent_and_its_server_may_stay() -> None:
    recorder = waiting()
    for tenth in range(101):
        recorder.received(CLIENT, SLOW[10 * tenth : 10 * tenth + 10], tenth / 10)
        say(recorder, BROKER, publish(), at=tenth / 10)
        assert not [each for each in recorder.new_findings() if each.rule != "redelivery-with-dup"]
    say(recorder, CLIENT, PingReq(), at=11.0)
    say(recorder, BROKER, PingResp(), at=11.0)
    assert rules(recorder) == []


def test_what_is_held_is_told_when_the_packet_that_could_refute_it_does_not() -> None:
    recorder = waiting()
    say(recorder, CLIENT, PingReq(), at=1.9)
    recorder.received(BROKER, SLOW[:10], 2.0)
    for at in (3.8, 5.7, 7.6):
        say(recorder, CLIENT, publish(), at=at)
    held = {each.rule for each in recorder.look()[1] if each.rule != "redelivery-with-dup"}
    assert "gives-up-without-pingresp" in held
    assert not {*rules(recorder)} & held
    recorder.received(BROKER, SLOW[10:], 9.4)
    assert {*rules(recorder)} >= held


def test_what_later_packets_refute_is_taken_back_and_could_be_told_again() -> None:
    recorder = waiting()
    for at in (1.9, 3.8, 5.7, 7.6):
        say(recorder, CLIENT, PingReq(), at=at)
    told = recorder.new_findings()
    assert {each.rule for each in told} == {"gives-up-without-pingresp"}
    assert recorder.take_back(recorder.look()[1]) == []
    for _ in range(4):
        say(recorder, BROKER, PingResp(), at=8.0)
    entries, found = recorder.look()
    assert {each.rule for each in recorder.take_back(found)} == {"gives-up-without-pingresp"}
    assert (recorder.take(entries, found), recorder.findings) == ([], [])
    assert [each.rule for each in recorder.withdrawn] == [each.rule for each in told]


# --- WebSocket --------------------------------------------------------------------------------------------------------

REQUEST = b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n"
RESPONSE = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def upgraded(response: bytes = RESPONSE) -> Recorder:
    recorder = Recorder(0.0, Limits(), Room(), has_frames=True)
    recorder.received(CLIENT, REQUEST, 0.0)
    recorder.received(BROKER, response, 0.0)
    return recorder


def test_packets_are_read_out_of_frames_whatever_their_bounds() -> None:
    recorder = upgraded()
    connect = encode(Connect(V311, "c", keep_alive=0), V311)
    stream = frame(Opcode.BINARY, connect[:5], final=False, masked=True) + frame(Opcode.PING, b"x", masked=True)
    stream += frame(Opcode.CONTINUATION, connect[5:] + encode(publish(), V311), masked=True)
    for at in range(0, len(stream), 7):
        recorder.received(CLIENT, stream[at : at + 7], 1.0)
    answers = encode(ConnAck(), V311) + encode(PubAck(1), V311)
    recorder.received(BROKER, frame(Opcode.BINARY, answers), 1.0)
    recorder.received(CLIENT, frame(Opcode.CLOSE, b"\x03\xe8", masked=True), 2.0)
    recorder.ended(BROKER, "FIN", 2.1)
    recorder.ended(CLIENT, "FIN", 2.2)
    assert (recorder.packets, recorder.client_id, recorder.why_not) == (4, "c", None)
    assert [(each.kind, each.sender) for each in recorder.trace][-2:] == [(Kind.CLOSE, CLIENT), (Kind.CLOSE, BROKER)]
    assert rules(recorder) == []


def test_mqtt_in_text_breaks_a_statement_and_ends_the_judging() -> None:
    recorder = upgraded()
    recorder.received(CLIENT, frame(Opcode.BINARY, encode(Connect(V311, "c"), V311), masked=True), 1.0)
    recorder.received(BROKER, frame(Opcode.TEXT, encode(ConnAck(), V311)), 1.0)
    (finding,) = recorder.new_findings()
    assert (finding.rule, finding.blame, finding.cites) == ("binary-frames", BROKER, ("MQTT-6.0.0-1",))
    assert recorder.why_not is WhyNot.UNDECODED


def test_a_goodbye_in_fragments_is_noted_and_is_none() -> None:
    """Its receiver has to fail the connection; where it goes on, so does the recording. [RFC 6455 5.5]"""
    recorder = upgraded()
    recorder.received(CLIENT, frame(Opcode.BINARY, encode(Connect(V311, "c"), V311), masked=True), 1.0)
    recorder.received(CLIENT, frame(Opcode.CLOSE, b"\x03\xe8", final=False, masked=True), 1.0)
    recorder.received(BROKER, frame(Opcode.BINARY, encode(ConnAck(), V311)), 1.0)
    [noted] = [each.note for each in recorder.trace if each.kind is Kind.FRAME]
    assert noted == "fragmented control frame [RFC 6455 5]"
    assert (recorder.packets, recorder.is_over, recorder.why_not) == (2, False, None)
    assert rules(recorder) == []


def test_a_handshake_that_is_refused_is_no_mqtt() -> None:
    recorder = upgraded(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert recorder.why_not is WhyNot.NO_MQTT
    assert recorder.detail.endswith("HTTP 403")
    assert recorder.new_findings() == []


def test_a_slow_frame_counts_from_its_first_byte() -> None:
    recorder = upgraded()
    raw = frame(Opcode.BINARY, encode(Connect(V311, "c"), V311), masked=True)
    recorder.received(CLIENT, raw[:4], 1.0)
    recorder.received(CLIENT, raw[4:], 5.0)
    assert [(each.at, each.began) for each in recorder.trace][1:] == [(5.0, 1.0)]


def test_no_more_bytes_of_a_frame_are_kept_than_the_limit() -> None:
    recorder = Recorder(0.0, Limits(size_bytes=1000), Room(), has_frames=True)
    recorder.received(CLIENT, REQUEST, 0.0)
    recorder.received(CLIENT, b"\x82\xfe\xff\xff" + bytes(800), 0.0)
    assert recorder.why_not is None
    recorder.received(CLIENT, bytes(800), 0.0)
    assert recorder.why_not is WhyNot.LIMIT
