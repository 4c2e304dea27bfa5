"""What the monitor makes of one connection's bytes, without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.monitor.recorder import Limits, Recorder
from interop.tap.trace import Kind, Sender
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Packet, PubAck, Publish
from reference_broker.wire.types import QoS, Version

CLIENT, BROKER = Sender.CLIENT, Sender.BROKER
V311, V5 = Version.V311, Version.V5


def connection(limits: Limits = Limits(), version: Version = V311) -> Recorder:  # noqa: B008 - frozen
    recorder = Recorder(0.0, limits)
    say(recorder, CLIENT, Connect(version, "c"), version)
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
    monkeypatch.setattr("interop.monitor.recorder.judge", lambda *_: pytest.fail("judged again"))
    assert recorder.new_findings() == []


def test_the_version_is_that_of_the_connect() -> None:
    recorder = connection(version=V5)
    say(recorder, BROKER, Publish("t", b"x", packet_id=None), V5)
    assert recorder.version is V5
    assert not recorder.has_undecoded


def test_bytes_that_are_no_mqtt_are_noted_once_and_then_left_alone() -> None:
    recorder = Recorder(0.0, Limits())
    for _ in range(3):
        recorder.received(CLIENT, b"\xff\xff\xff\xff\xff\xff", 1.0)
    assert [entry.kind for entry in recorder.trace] == [Kind.OPEN, Kind.MALFORMED]
    assert (recorder.has_undecoded, recorder.packets, recorder.size_bytes) == (True, 0, 18)


def test_the_other_direction_is_still_heard_when_one_cannot_be_decoded() -> None:
    recorder = connection()
    recorder.received(BROKER, b"\x00\x00", 1.0)
    say(recorder, CLIENT, publish())
    assert recorder.packets == 3


def test_beyond_the_limit_a_connection_is_only_copied_and_its_end_proves_nothing() -> None:
    recorder = connection(Limits(packets=3))
    for packet_id in (1, 2, 3):
        say(recorder, CLIENT, publish(packet_id))
    recorder.ended(CLIENT, "FIN", 99.0)
    assert recorder.packets == 3
    assert recorder.not_judged == "only its first 3 packets were judged, the rest was copied"
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
    for finding in recorder.new_findings():
        assert recorder.entry(finding).index == finding.trace_index
