from dataclasses import replace

import pytest

from reference_broker.session.delivery import RECEIVER, SENDER, Inbound, Outbound, Receiving, Sending
from reference_broker.session.packet_ids import PacketIds
from reference_broker.wire.errors import LocalError, ProtocolError
from reference_broker.wire.packets import PubAck, PubComp, Publish, PubRec, PubRel
from reference_broker.wire.types import PacketType, QoS, Version

QOS0 = Publish("t", b"zero")
QOS1 = Publish("t", b"one", QoS.AT_LEAST_ONCE)
QOS2 = Publish("t", b"two", QoS.EXACTLY_ONCE)


def outbound(version=Version.V5, ids=None):
    return Outbound(version, ids)


class TestSender:
    def test_a_new_message_gets_an_unused_identifier_and_dup_0(self):  # 5.0 MQTT-4.3.2-1, -2, MQTT-4.3.3-1, -2
        out = outbound()
        first, second = out.send(replace(QOS1, dup=True, packet_id=99)), out.send(QOS2)
        assert (first.packet_id, first.dup) == (1, False)
        assert (second.packet_id, second.dup) == (2, False)
        assert len(out) == 2

    def test_qos_0_is_not_kept(self):
        with pytest.raises(LocalError):
            outbound().send(QOS0)

    def test_identifiers_are_shared_with_what_else_the_session_sends(self):
        ids = PacketIds()
        subscribe_id = ids.allocate()
        out = outbound(ids=ids)
        assert out.send(QOS1).packet_id not in (None, subscribe_id)

    @pytest.mark.parametrize("reason", [0x00, 0x10, 0x80, 0x87, 0x97])
    def test_any_puback_settles_a_qos_1_message(self, reason):  # 5.0 MQTT-4.4.0-2
        out = outbound()
        out.send(QOS1)
        outcome = out.acknowledge(PubAck(1, reason))
        assert (outcome.completed, outcome.reason, outcome.known, outcome.answer) == (1, reason, True, None)
        assert len(out) == 0
        assert list(out.resume()) == []

    @pytest.mark.parametrize("reason", [0x00, 0x10])
    def test_pubrec_is_answered_by_pubrel_with_the_same_identifier(self, reason):  # 5.0 MQTT-4.3.3-4
        out = outbound()
        out.send(QOS2)
        outcome = out.acknowledge(PubRec(1, reason))
        assert outcome.answer == PubRel(1)
        assert outcome.completed is None
        assert len(out) == 1

    @pytest.mark.parametrize("reason", [0x80, 0x91, 0xFF])
    def test_pubrec_with_an_error_settles_the_message(self, reason):  # 5.0 MQTT-4.4.0-2
        ids = PacketIds()
        out = outbound(ids=ids)
        out.send(QOS2)
        outcome = out.acknowledge(PubRec(1, reason))
        assert (outcome.answer, outcome.completed) == (None, 1)
        assert 1 not in ids
        assert list(out.resume()) == []

    @pytest.mark.parametrize("reason", [0x00, 0x92])
    def test_pubcomp_settles_the_message_even_when_the_peer_knew_nothing(self, reason):
        out = outbound()
        out.send(QOS2)
        out.acknowledge(PubRec(1))
        assert out.acknowledge(PubComp(1, reason)).completed == 1
        assert len(out) == 0

    def test_the_identifier_stays_in_use_until_pubcomp(self):  # 3.1.1 MQTT-2.3.1-3
        ids = PacketIds()
        out = outbound(ids=ids)
        out.send(QOS2)
        out.acknowledge(PubRec(1))
        assert 1 in ids
        out.acknowledge(PubComp(1))
        assert 1 not in ids

    def test_a_repeated_pubrec_gets_pubrel_again_and_never_the_message(self):  # 5.0 MQTT-4.3.3-6
        out = outbound()
        out.send(QOS2)
        out.acknowledge(PubRec(1))
        assert out.acknowledge(PubRec(1)).answer == PubRel(1)
        assert list(out.resume()) == [PubRel(1)]

    @pytest.mark.parametrize(("version", "reason"), [(Version.V31, 0), (Version.V311, 0), (Version.V5, 0x92)])
    def test_pubrec_for_an_unknown_identifier_is_released(self, version, reason):  # 5.0 3.6.2.1
        out = outbound(version)
        outcome = out.acknowledge(PubRec(7))
        assert outcome.answer == PubRel(7, reason)
        assert (outcome.known, outcome.completed) == (False, None)
        assert len(out) == 0

    @pytest.mark.parametrize("packet", [PubAck(7), PubAck(7, 0x80), PubComp(7), PubComp(7, 0x92), PubRec(7, 0x80)])
    def test_other_acknowledgements_of_unknown_identifiers_are_ignored(self, packet):
        outcome = outbound().acknowledge(packet)
        assert (outcome.known, outcome.answer, outcome.completed) == (False, None, None)

    @pytest.mark.parametrize(
        ("publish", "packets"),
        [
            (QOS1, [PubRec(1)]),
            (QOS1, [PubRec(1, 0x80)]),
            (QOS1, [PubComp(1)]),
            (QOS2, [PubAck(1)]),
            (QOS2, [PubAck(1, 0x80)]),
            (QOS2, [PubComp(1)]),
            (QOS2, [PubRec(1), PubAck(1)]),
        ],
    )
    def test_an_acknowledgement_of_the_other_qos_or_too_early_is_a_protocol_error(self, publish, packets):
        out = outbound()
        out.send(publish)
        for packet in packets[:-1]:
            out.acknowledge(packet)
        with pytest.raises(ProtocolError) as error:
            out.acknowledge(packets[-1])
        assert error.value.reason == 0x82
        assert len(out) == 1

    def test_the_table_has_a_row_for_every_acknowledgement_of_an_unknown_message(self):
        rows = {(kind, refused) for state, kind, refused in SENDER if state is Sending.UNKNOWN}
        assert rows == {
            (kind, refused)
            for kind in (PacketType.PUBACK, PacketType.PUBREC, PacketType.PUBCOMP)
            for refused in (False, True)
        }

    @pytest.mark.parametrize(("state", "kind", "refused"), SENDER)
    @pytest.mark.parametrize("next_state", [None, Sending.PUBCOMP, Sending.UNKNOWN])
    def test_the_table_decides_what_follows(self, state, kind, refused, next_state, monkeypatch):
        """As it is, and where a row says something else."""
        row = (state, kind, refused)
        if next_state is not None and state is not Sending.UNKNOWN:
            monkeypatch.setitem(SENDER, row, (next_state, SENDER[row][1]))
        expected, answer = SENDER[row]
        out = outbound()
        if state is not Sending.UNKNOWN:
            out.send(QOS1 if state is Sending.PUBACK else QOS2)
        if state is Sending.PUBCOMP:
            out.acknowledge(PubRec(1))
        assert out.state(1) is state
        packet = {PacketType.PUBACK: PubAck, PacketType.PUBREC: PubRec, PacketType.PUBCOMP: PubComp}[kind]
        outcome = out.acknowledge(packet(1, 0x80 if refused else 0))
        assert out.state(1) is expected
        assert (outcome.answer.type if outcome.answer else None) is answer
        assert (outcome.completed == 1) == (expected is Sending.UNKNOWN is not state)

    def test_resume_repeats_in_order_with_dup_and_the_same_identifiers(self):  # 5.0 MQTT-4.4.0-1, MQTT-4.6.0-1
        out = outbound()
        sent = [out.send(replace(QOS1 if n % 2 else QOS2, payload=bytes([n]))) for n in range(6)]
        out.acknowledge(PubAck(2))
        expected = [replace(p, dup=True) for p in sent if p.packet_id != 2]
        assert list(out.resume()) == expected
        assert list(out.resume()) == expected  # a second cut changes nothing

    def test_resume_repeats_pubrel_in_the_order_of_the_pubrecs(self):  # 5.0 MQTT-4.6.0-4
        out = outbound()
        for _ in range(3):
            out.send(QOS2)
        out.acknowledge(PubRec(3))
        out.acknowledge(PubRec(1))
        assert list(out.resume()) == [PubRel(3), PubRel(1), replace(QOS2, packet_id=2, dup=True)]

    @pytest.mark.parametrize(("version", "dup"), [(Version.V31, True), (Version.V311, False), (Version.V5, False)])
    def test_a_pubrel_sent_again_has_dup_in_3_1_only(self, version, dup):  # 3.1 MQTT31-13
        out = outbound(version)
        out.send(QOS2)
        assert out.acknowledge(PubRec(1)).answer == PubRel(1)
        assert list(out.resume()) == [PubRel(1, dup=dup)]

    def test_acknowledging_while_resuming_is_safe(self):
        out = outbound()
        for _ in range(3):
            out.send(QOS1)
        for packet in out.resume():
            out.acknowledge(PubAck(packet.packet_id))
        assert len(out) == 0

    def test_a_stored_session_is_put_back_whole(self):
        out = outbound()
        out.send(QOS2)
        out.send(QOS1)
        out.acknowledge(PubRec(1))
        ids = PacketIds()
        again = outbound(ids=ids)
        for packet in out.resume():
            again.restore(packet)
        assert list(again.resume()) == list(out.resume())
        assert again.send(QOS1).packet_id == 3
        with pytest.raises(LocalError):
            again.restore(PubRel(1))
        with pytest.raises(LocalError):
            again.restore(QOS0)

    def test_drop_all_frees_messages_and_identifiers_but_not_those_of_others(self):
        ids = PacketIds()
        subscribe_id = ids.allocate()
        out = outbound(ids=ids)
        out.send(QOS2)
        out.send(QOS1)
        out.acknowledge(PubRec(2))
        out.drop_all()
        assert len(out) == 0
        assert subscribe_id in ids
        assert len(ids) == 1

    def test_membership_and_state_follow_the_message(self):
        out = outbound()
        out.send(QOS2)
        out.send(QOS1)
        assert [out.state(n) for n in (1, 2, 3)] == [Sending.PUBREC, Sending.PUBACK, Sending.UNKNOWN]
        out.acknowledge(PubRec(1))
        assert out.state(1) is Sending.PUBCOMP
        assert [n in out for n in (1, 2, 3)] == [True, True, False]


class TestReceiver:
    def test_a_repeat_before_pubrel_is_not_new_whatever_dup_says(self):  # 5.0 MQTT-4.3.3-10
        inbound = Inbound(Version.V5)
        publish = replace(QOS2, packet_id=5)
        assert inbound.receive(publish)
        assert not inbound.receive(publish)
        assert not inbound.receive(replace(publish, dup=True))

    def test_after_pubrel_the_identifier_is_new_even_with_dup(self):  # 5.0 MQTT-4.3.3-12
        inbound = Inbound(Version.V5)
        inbound.receive(replace(QOS2, packet_id=5))
        assert inbound.release(PubRel(5)) == PubComp(5)
        assert inbound.receive(replace(QOS2, packet_id=5, dup=True))

    def test_after_pubrec_with_an_error_the_identifier_is_new(self):  # 5.0 MQTT-4.3.3-9
        inbound = Inbound(Version.V5)
        inbound.receive(replace(QOS2, packet_id=5))
        inbound.forget(5)
        assert inbound.receive(replace(QOS2, packet_id=5))

    @pytest.mark.parametrize(("version", "reason"), [(Version.V31, 0), (Version.V311, 0), (Version.V5, 0x92)])
    def test_every_pubrel_is_answered_and_5_0_says_when_it_was_unknown(self, version, reason):  # 5.0 MQTT-4.3.3-11
        inbound = Inbound(version)
        assert inbound.release(PubRel(6)) == PubComp(6, reason)
        inbound.receive(replace(QOS2, packet_id=6))
        assert inbound.release(PubRel(6)) == PubComp(6)
        assert inbound.release(PubRel(6)) == PubComp(6, reason)

    def test_qos_0_and_qos_1_are_always_new_and_leave_no_state(self):  # 5.0 MQTT-4.3.2-5
        inbound = Inbound(Version.V5)
        for publish in (QOS0, replace(QOS1, packet_id=5), replace(QOS1, packet_id=5, dup=True)):
            assert inbound.receive(publish)
        assert len(inbound) == 0

    def test_state_is_listed_restored_and_dropped(self):
        inbound = Inbound(Version.V5)
        for packet_id in (9, 3):
            inbound.receive(replace(QOS2, packet_id=packet_id))
        again = Inbound(Version.V5)
        for packet_id in inbound:
            again.restore(packet_id)
        assert list(again) == [9, 3]
        assert 9 in again
        assert not again.receive(replace(QOS2, packet_id=3))
        again.drop_all()
        assert again.receive(replace(QOS2, packet_id=3))

    def test_the_table_is_complete(self):
        assert set(RECEIVER) == {(s, p) for s in Receiving for p in (PacketType.PUBLISH, PacketType.PUBREL)}

    @pytest.mark.parametrize(("state", "kind"), RECEIVER)
    @pytest.mark.parametrize("row", [None, *((state, news) for state in Receiving for news in (True, False))])
    def test_the_table_decides_what_follows(self, state, kind, row, monkeypatch):
        """As it is, and where a row says something else."""
        inbound = Inbound(Version.V5)
        if state is Receiving.RECEIVED:
            inbound.restore(1)
        if row is not None:
            monkeypatch.setitem(RECEIVER, (state, kind), row)
        expected, is_news = RECEIVER[state, kind]
        if kind is PacketType.PUBLISH:
            assert inbound.receive(replace(QOS2, packet_id=1)) == is_news
        else:
            assert inbound.release(PubRel(1)).reason == (0 if is_news else 0x92)
        assert inbound.state(1) is expected
