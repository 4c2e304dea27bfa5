"""The tap's core in virtual time: what reaches whom, what the trace says, byte for byte."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.tap.crossing import Crossing
from interop.tap.faults import Action, Cut, Delay, Drop, Duplicate, Freeze, Hold, How, Plan, Rewrite, When
from interop.tap.lane import STALL_SECONDS, Effect, End, Write
from interop.tap.trace import Fate, Kind, Sender, Trace
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Packet, PubAck, Publish, PubRec, Subscribe, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import PacketType, QoS, Version

CLIENT, BROKER, HARNESS = Sender.CLIENT, Sender.BROKER, Sender.HARNESS
V31, V311, V5 = Version.V31, Version.V311, Version.V5


def publish(number: int, qos: QoS = QoS.AT_LEAST_ONCE) -> bytes:
    return encode(Publish("t", b"%d" % number, qos, packet_id=number), V311)


class Rig:
    """One crossing with a clock set by hand; collects what reaches each side."""

    def __init__(self, version: Version = V311) -> None:
        self.now = 0.0
        self.trace = Trace(lambda: self.now)
        self.plan = Plan()
        self.crossing = Crossing(self.trace, "pub", 1, version, self.plan)
        self.arrived = {CLIENT: b"", BROKER: b""}
        self.ends: list[End] = []

    def arm(self, packet: PacketType, action: Action, *, nth: int = 1, every: bool = False) -> None:
        self.plan.arm(When(packet, CLIENT, nth, every), action)

    def send(self, data: bytes, side: Sender = CLIENT) -> None:
        self.perform(self.crossing.receive(side, data, self.now))

    def end(self, how: How = How.FIN, side: Sender = CLIENT) -> None:
        self.perform(self.crossing.end(side, how, self.now))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.perform(self.crossing.handle_timer(self.now))

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Write):
                self.arrived[effect.to] += effect.data
            else:
                self.ends.append(effect)

    def story(self) -> list[str]:
        return [
            f"{each.sender} {each.packet.type.name if each.packet else each.kind} {each.fate} {each.note}".rstrip()
            for each in self.trace
        ]


# --- transparency -----------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=20), max_size=10), st.sampled_from([CLIENT, BROKER]))
def test_whatever_is_sent_arrives_byte_for_byte(chunks: list[bytes], side: Sender) -> None:
    rig = Rig()
    for chunk in chunks:
        rig.send(chunk, side)
    rig.end(side=side)
    assert rig.arrived[side.peer] == b"".join(chunks)
    assert b"".join(entry.data for entry in rig.trace.sent_by(side, "pub")) == b"".join(chunks)


def test_packets_are_recorded_with_the_time_of_the_read_that_completed_them() -> None:
    rig = Rig()
    packet = publish(1)
    rig.now = 1.0
    rig.send(packet[:3])
    rig.now = 2.0
    rig.send(packet[3:] + publish(2))
    assert [entry.at for entry in rig.trace] == [2.0, 2.0]
    assert [entry.packet for entry in rig.trace] == [
        Publish("t", b"1", QoS.AT_LEAST_ONCE, packet_id=1),
        Publish("t", b"2", QoS.AT_LEAST_ONCE, packet_id=2),
    ]
    assert {entry.receiver for entry in rig.trace} == {BROKER}


def test_a_packet_that_cannot_be_decoded_is_passed_on_and_recorded_as_malformed() -> None:
    rig = Rig()
    publish_with_qos_3 = b"\x36\x05\x00\x01t\x00\x01"
    rig.send(publish_with_qos_3 + publish(1))
    assert rig.arrived[BROKER] == publish_with_qos_3 + publish(1)
    bad, good = rig.trace.entries
    assert (bad.kind, bad.data, bad.packet) == (Kind.MALFORMED, publish_with_qos_3, None)
    assert "QoS" in bad.note
    assert good.kind is Kind.PACKET


BAD_CONNACK = b"\x20\x09\x00\x00\x06\x21\x00\x00\x22\x00\x05"  # Receive Maximum 0, Topic Alias Maximum 5


def test_a_connack_with_a_wrong_property_is_recorded_as_it_was_sent_and_goes_on_without_it() -> None:
    rig = Rig(V5)
    rig.send(BAD_CONNACK, BROKER)
    right = ConnAck(properties=Properties(topic_alias_maximum=5))
    assert rig.arrived[CLIENT] == encode(right, V5)
    sent, arrived = rig.trace.entries
    assert (sent.kind, sent.data, sent.packet, sent.sent, sent.delivered) == (
        Kind.MALFORMED, BAD_CONNACK, right, True, False
    )  # fmt: skip
    assert "receive_maximum" in sent.note
    assert (arrived.kind, arrived.packet, arrived.sender, arrived.delivered) == (Kind.PACKET, right, HARNESS, True)


def test_a_connack_that_refuses_goes_on_as_it_is() -> None:
    rig = Rig(V5)
    refusal = b"\x20\x03\x01\x87\x00"  # Session Present with an error
    rig.send(refusal, BROKER)
    assert rig.arrived[CLIENT] == refusal


def test_a_connack_that_a_scenario_made_wrong_arrives_as_it_is() -> None:
    rig = Rig(V5)
    rig.plan.arm(When(PacketType.CONNACK, BROKER), Rewrite(BAD_CONNACK))
    rig.send(encode(ConnAck(), V5), BROKER)
    assert rig.arrived[CLIENT] == BAD_CONNACK


def test_any_other_packet_that_can_be_read_on_goes_on_as_it_is() -> None:
    rig = Rig(V5)
    without_property_length = b"\x30\x08\x00\x01thello"
    rig.send(without_property_length, BROKER)
    assert rig.arrived[CLIENT] == without_property_length
    assert rig.trace.entries[0].packet == Publish("t", b"hello", QoS.AT_MOST_ONCE)
    assert rig.trace.entries[0].kind is Kind.MALFORMED


def test_after_a_length_without_end_bytes_go_on_as_they_come() -> None:
    rig = Rig()
    rig.send(publish(1) + b"\x30\xff\xff\xff\xff\x01abc")
    rig.send(publish(2))
    assert rig.arrived[BROKER] == publish(1) + b"\x30\xff\xff\xff\xff\x01abc" + publish(2)
    assert rig.story() == [
        "client PUBLISH forwarded",
        "client malformed forwarded framing lost",
        "client malformed forwarded after lost framing",
    ]


def test_half_a_packet_goes_on_when_the_sender_stalls_or_ends() -> None:
    rig = Rig()
    packet = publish(1)
    rig.send(packet[:5])
    assert rig.arrived[BROKER] == b""
    assert rig.crossing.next_deadline() == STALL_SECONDS
    rig.wait(STALL_SECONDS)
    assert rig.arrived[BROKER] == packet[:5]
    assert not rig.trace.entries
    rig.send(packet[5:] + packet[:4])
    assert rig.arrived[BROKER] == packet + packet[:4][:0]
    rig.end()
    assert rig.arrived[BROKER] == packet + packet[:4]
    assert rig.story()[1:] == ["client malformed forwarded incomplete packet", "client close forwarded FIN"]


def test_a_stalled_packet_waits_while_a_fault_watches_for_its_kind() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Drop())
    rig.send(publish(1)[:5])
    rig.wait(1.0)
    assert rig.arrived[BROKER] == b""
    rig.send(publish(1)[5:])
    assert rig.story()[0] == "client PUBLISH dropped"


@pytest.mark.parametrize("spoken", list(Version))
def test_both_directions_are_decoded_by_the_version_of_the_connect(spoken: Version) -> None:
    rig = Rig(V311 if spoken is V5 else V5)
    rig.send(encode(Connect(spoken, "c"), spoken))
    rig.send(encode(ConnAck(), spoken), BROKER)
    assert [entry.packet for entry in rig.trace] == [Connect(spoken, "c"), ConnAck()]


def test_an_unknown_protocol_is_malformed_and_passes() -> None:
    rig = Rig()
    connect = b"\x10\x0e\x00\x04MQTT\x09\x02\x00\x3c\x00\x02id"
    rig.send(connect)
    assert rig.arrived[BROKER] == connect
    assert rig.story()[0].startswith("client malformed forwarded protocol name b'MQTT' with level 9")


# --- one packet -------------------------------------------------------------------------------------------------------


def test_drop_takes_the_nth_packet_counted_from_arming() -> None:
    rig = Rig()
    rig.send(publish(1))
    rig.arm(PacketType.PUBLISH, Drop(), nth=2)
    for number in (2, 3, 4):
        rig.send(publish(number))
    assert rig.arrived[BROKER] == publish(1) + publish(2) + publish(4)
    assert rig.story()[2:4] == ["client PUBLISH dropped", "harness fault forwarded drop at PUBLISH from client"]
    assert rig.trace.last_fault("pub") == 3


def test_drop_every_takes_all_of_a_kind_and_no_other() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Drop(), every=True)
    ack = encode(PubAck(9), V311)
    rig.send(publish(1) + ack + publish(2))
    assert rig.arrived[BROKER] == ack


def test_a_fault_looks_at_one_side_only() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Drop())
    rig.send(publish(1), BROKER)
    assert rig.arrived[CLIENT] == publish(1)


def test_held_packets_are_passed_by_others_and_go_at_the_thaw_in_order() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Hold(), every=True)
    ack = encode(PubAck(9), V311)
    rig.send(publish(1) + ack + publish(2))
    assert rig.arrived[BROKER] == ack
    rig.now = 5.0
    rig.plan.end_holds()
    rig.perform(rig.crossing.thaw(rig.now))
    rig.send(publish(3))
    assert rig.arrived[BROKER] == ack + publish(1) + publish(2) + publish(3)
    assert [entry.packet_id for entry in _packets(rig.trace, delivered=True)] == [9, 1, 2, 3]
    assert [entry.packet_id for entry in _packets(rig.trace, delivered=False)] == [1, 9, 2, 3]
    released = [entry for entry in rig.trace if entry.fate is Fate.RELEASED and entry.kind is Kind.PACKET]
    assert [entry.at for entry in released] == [5.0, 5.0]


def _packets(trace: Trace, *, delivered: bool) -> list[Publish | PubAck]:
    entries = trace.received_by(BROKER, "pub") if delivered else trace.sent_by(CLIENT, "pub")
    return [entry.packet for entry in entries if isinstance(entry.packet, Publish | PubAck)]


@pytest.mark.parametrize(("dup", "first_byte"), [(None, 0x32), (True, 0x3A), (False, 0x32)])
def test_duplicate_sends_a_copy_behind_the_packet(dup: bool | None, first_byte: int) -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Duplicate(dup))
    rig.send(publish(1))
    assert rig.arrived[BROKER] == publish(1) + bytes([first_byte]) + publish(1)[1:]
    assert rig.story()[:2] == ["client PUBLISH forwarded", "harness PUBLISH injected duplicate"]
    assert len(rig.trace.sent_by(CLIENT, "pub")) == 1
    assert len(rig.trace.received_by(BROKER, "pub")) == 2


def test_delay_holds_up_what_follows_in_its_direction_only() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Delay(0.5))
    rig.send(publish(1) + publish(2))
    rig.send(publish(3), BROKER)
    assert (rig.arrived[BROKER], rig.arrived[CLIENT]) == (b"", publish(3))
    assert rig.crossing.next_deadline() == 0.5
    rig.wait(0.4)
    assert rig.arrived[BROKER] == b""
    rig.end()
    rig.wait(0.1)
    assert rig.arrived[BROKER] == publish(1) + publish(2)
    assert rig.ends == [End(BROKER, How.FIN), End(CLIENT, How.FIN)]
    assert rig.story() == [
        "client PUBLISH delayed",
        "harness fault forwarded delay by 0.5 s at PUBLISH from client",
        "client PUBLISH delayed",
        "broker PUBLISH forwarded",
        "client close delayed FIN",
        "client PUBLISH released",
        "client PUBLISH released",
        "client close released FIN",
    ]


def test_rewrite_delivers_the_changed_packet_and_tells_what_was_sent() -> None:
    rig = Rig()

    def other_payload(packet: Packet) -> Packet:
        assert isinstance(packet, Publish)
        return dataclasses.replace(packet, payload=b"other")

    rig.arm(PacketType.PUBLISH, Rewrite(other_payload))
    rig.send(publish(1))
    assert rig.arrived[BROKER] == encode(Publish("t", b"other", QoS.AT_LEAST_ONCE, packet_id=1), V311)
    assert rig.story()[:2] == ["client PUBLISH rewritten", "harness PUBLISH injected rewritten"]
    (sent,) = rig.trace.sent_by(CLIENT, "pub")
    assert sent.data == publish(1)


def test_rewrite_may_put_any_bytes_in_the_packets_place() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Rewrite(b"\x36\x00"))
    rig.send(publish(1))
    assert rig.arrived[BROKER] == b"\x36\x00"
    assert rig.story()[1].startswith("harness malformed injected")


def test_several_faults_can_befall_one_packet() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Duplicate())
    rig.arm(PacketType.PUBLISH, Cut(How.FIN, deliver=True))
    rig.send(publish(1))
    assert rig.arrived[BROKER] == publish(1) * 2
    assert [end.how for end in rig.ends] == [How.FIN, How.FIN]


# --- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deliver", [False, True])
@pytest.mark.parametrize("how", [How.FIN, How.RST])
def test_cut_loses_or_delivers_the_packet_and_loses_what_came_with_it(how: How, deliver: bool) -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Cut(how, deliver))
    rig.send(publish(1) + publish(2))
    assert rig.arrived[BROKER] == (publish(1) if deliver else b"")
    assert rig.ends == [End(CLIENT, how), End(BROKER, how)]
    assert rig.story() == [
        f"client PUBLISH {'forwarded' if deliver else 'lost'}",
        "client PUBLISH lost",
        f"harness fault forwarded cut ({how}) at PUBLISH from client",
        f"harness close forwarded {how}",
    ]
    assert not rig.crossing.is_open(CLIENT)
    assert not rig.crossing.is_open(BROKER)


def test_silence_loses_everything_and_ends_reach_nobody() -> None:
    rig = Rig()
    rig.perform(rig.crossing.cut(How.SILENCE, rig.now))
    rig.send(publish(1))
    rig.send(publish(2), BROKER)
    rig.end(How.RST)
    assert rig.arrived == {CLIENT: b"", BROKER: b""}
    assert rig.ends == [End(CLIENT, How.RST)]
    assert rig.crossing.is_open(BROKER)
    assert not rig.crossing.is_open(CLIENT)
    assert rig.story()[1:] == ["client PUBLISH lost", "broker PUBLISH lost", "client close lost RST"]


@pytest.mark.parametrize("only_from", [None, CLIENT, BROKER])
def test_freeze_stops_one_direction_or_both_until_the_thaw(only_from: Sender | None) -> None:
    rig = Rig()
    rig.crossing.freeze(Freeze(only_from), rig.now)
    rig.send(publish(1), CLIENT)
    rig.send(publish(2), BROKER)
    stopped = [side for side in (CLIENT, BROKER) if only_from in (None, side)]
    assert [side for side in (CLIENT, BROKER) if not rig.arrived[side.peer]] == stopped
    rig.perform(rig.crossing.thaw(rig.now))
    assert rig.arrived == {BROKER: publish(1), CLIENT: publish(2)}


def test_freeze_at_a_packet_keeps_that_packet_too() -> None:
    rig = Rig()
    rig.arm(PacketType.PUBLISH, Freeze(), nth=2)
    rig.send(publish(1) + publish(2) + publish(3))
    rig.send(publish(4), BROKER)
    assert rig.arrived == {BROKER: publish(1), CLIENT: b""}
    assert rig.story()[1:4] == [
        "client PUBLISH held",
        "harness fault forwarded freeze at PUBLISH from client",
        "client PUBLISH held",
    ]
    rig.perform(rig.crossing.thaw(rig.now))
    assert rig.arrived == {BROKER: publish(1) + publish(2) + publish(3), CLIENT: publish(4)}


def test_a_frozen_end_is_recorded_when_it_comes_and_passed_on_behind_the_bytes() -> None:
    rig = Rig()
    rig.crossing.freeze(Freeze(), rig.now)
    rig.send(publish(1))
    rig.now = 3.0
    rig.end()
    assert rig.ends == []
    ending = rig.trace.closed_by(CLIENT, "pub", 1)
    assert ending is not None
    assert (ending.at, ending.fate) == (3.0, Fate.HELD)
    rig.perform(rig.crossing.thaw(rig.now))
    assert rig.arrived[BROKER] == publish(1)
    assert rig.ends == [End(BROKER, How.FIN), End(CLIENT, How.FIN)]


def test_an_injected_packet_passes_what_is_frozen_and_was_sent_by_nobody() -> None:
    rig = Rig()
    rig.crossing.freeze(Freeze(), rig.now)
    rig.send(publish(1))
    ack = encode(PubRec(1), V311)
    rig.perform(rig.crossing.inject(CLIENT, ack, rig.now))
    rig.perform(rig.crossing.inject(BROKER, ack, rig.now))
    assert rig.arrived == {CLIENT: ack, BROKER: ack}
    assert not rig.trace.sent_by(BROKER, "pub")
    assert [entry.sender for entry in rig.trace.received_by(CLIENT, "pub")] == [HARNESS]


def test_what_is_injected_after_the_end_is_lost() -> None:
    rig = Rig()
    rig.end()
    rig.perform(rig.crossing.inject(BROKER, publish(1), rig.now))
    assert rig.arrived[BROKER] == b""
    assert rig.trace.entries[-1].fate is Fate.LOST
    assert not rig.trace.sent_by(CLIENT, "pub")


def test_one_end_of_a_connection_is_recorded_once() -> None:
    rig = Rig()
    rig.end(How.RST, BROKER)
    rig.end(How.FIN, CLIENT)
    rig.send(publish(1))
    assert rig.story() == ["broker close forwarded RST"]
    assert rig.ends == [End(CLIENT, How.RST), End(BROKER, How.RST)]


def test_five_point_zero_packets_are_recorded_with_their_properties() -> None:
    rig = Rig(V5)
    subscribe = Subscribe(7, (Subscription("a/+", QoS.EXACTLY_ONCE),), Properties(subscription_identifier=(3,)))
    rig.send(encode(subscribe, V5))
    assert rig.trace.entries[0].packet == subscribe


# --- slow -------------------------------------------------------------------------------------------------------------


def test_throttled_bytes_arrive_bit_by_bit_and_the_packet_counts_when_all_of_it_did() -> None:
    rig = Rig()
    rig.plan.rates[CLIENT] = 100
    slow = encode(Publish("t", bytes(245)), V311)
    rig.send(slow + publish(1))
    for tenth in range(1, 25):
        rig.wait(0.1)
        assert len(rig.arrived[BROKER]) == 10 * tenth
    assert rig.crossing.next_deadline() == pytest.approx(2.5)
    rig.wait(0.11)
    assert rig.arrived[BROKER] == slow
    rig.wait(0.1)
    assert rig.arrived[BROKER] == slow + publish(1)
    assert [(e.fate, round(e.at, 2), round(e.began, 2)) for e in rig.trace] == [
        (Fate.DELAYED, 0.0, 0.0),
        (Fate.DELAYED, 0.0, 0.0),
        (Fate.RELEASED, 2.51, 0.0),
        (Fate.RELEASED, 2.61, 2.51),
    ]


def test_a_throttle_slows_one_side_and_its_end_comes_behind_its_bytes() -> None:
    rig = Rig()
    rig.plan.rates[CLIENT] = 10
    rig.send(publish(1))
    rig.end()
    rig.send(publish(2), BROKER)
    assert rig.arrived == {BROKER: b"", CLIENT: publish(2)}
    for _ in range(len(publish(1))):
        assert not rig.ends
        rig.wait(0.1)
    assert rig.arrived[BROKER] == publish(1)
    assert rig.ends == [End(BROKER, How.FIN), End(CLIENT, How.FIN)]


def test_a_packet_read_in_several_reads_began_with_the_first() -> None:
    rig = Rig()
    rig.send(publish(1) + publish(2)[:3])
    rig.wait(2.0)
    rig.send(publish(2)[3:] + publish(3))
    assert [(e.at, e.began) for e in rig.trace] == [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0)]
