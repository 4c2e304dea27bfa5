"""A sender and a receiver over a link that dies at any moment, resumed until all is settled."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reference_broker.session.delivery import Inbound, Outbound
from reference_broker.session.packet_ids import PacketIds
from reference_broker.wire.packets import PubAck, Publish, PubRec, PubRel
from reference_broker.wire.types import QoS, Version


class Link:
    """Two ordered pipes between a sender and a receiver; `cut` loses what is in both."""

    def __init__(self, version):
        self.ids = PacketIds()
        self.sender = Outbound(version, self.ids)
        self.receiver = Inbound(version)
        self.to_receiver, self.to_sender = deque(), deque()
        self.delivered, self.completed = [], []
        self.wire = []

    def send(self, publish):
        self._put(self.sender.send(publish))

    def _put(self, packet):
        self.wire.append(packet)
        self.to_receiver.append(packet)

    def step_receiver(self):
        packet = self.to_receiver.popleft()
        if isinstance(packet, PubRel):
            self.to_sender.append(self.receiver.release(packet))
            return
        if self.receiver.receive(packet):
            self.delivered.append((packet.qos, packet.payload))
        self.to_sender.append((PubAck if packet.qos == QoS.AT_LEAST_ONCE else PubRec)(packet.packet_id))

    def step_sender(self):
        outcome = self.sender.acknowledge(self.to_sender.popleft())
        assert outcome.known
        if outcome.completed is not None:
            self.completed.append(outcome.completed)
        if outcome.answer is not None:
            self._put(outcome.answer)

    def cut_and_resume(self):
        self.to_receiver.clear()
        self.to_sender.clear()
        for packet in self.sender.resume():
            self._put(packet)

    def settle(self):
        while self.to_receiver or self.to_sender:
            if self.to_receiver:
                self.step_receiver()
            if self.to_sender:
                self.step_sender()

    def payloads(self, qos):
        return [payload for q, payload in self.delivered if q == qos]


versions = st.sampled_from(list(Version))
# What happens next: a message of QoS 1 or 2, one packet moves in one direction, or the link is cut.
events = st.lists(st.sampled_from(["qos1", "qos2", "receiver", "sender", "cut"]), max_size=60)


def first_occurrences(payloads):
    return list(dict.fromkeys(payloads))


@settings(max_examples=300)
@given(versions, events)
def test_any_loss_pattern_delivers_qos_2_exactly_once_and_qos_1_at_least_once_in_order(version, steps):
    link, sent = Link(version), {QoS.AT_LEAST_ONCE: [], QoS.EXACTLY_ONCE: []}
    for number, step in enumerate(steps):
        if step in ("qos1", "qos2"):
            qos = QoS(int(step[-1]))
            sent[qos].append(b"%d" % number)
            link.send(Publish("t", b"%d" % number, qos))
        elif step == "receiver" and link.to_receiver:
            link.step_receiver()
        elif step == "sender" and link.to_sender:
            link.step_sender()
        elif step == "cut":
            link.cut_and_resume()
    link.settle()
    assert link.payloads(QoS.EXACTLY_ONCE) == sent[QoS.EXACTLY_ONCE]
    assert first_occurrences(link.payloads(QoS.AT_LEAST_ONCE)) == sent[QoS.AT_LEAST_ONCE]
    assert len(link.completed) == len(sent[QoS.AT_LEAST_ONCE]) + len(sent[QoS.EXACTLY_ONCE])
    assert len(link.sender) == len(link.receiver) == len(link.ids) == 0
    # The last copy of each QoS 1 message is in order too, as the specification's comment promises. [5.0 4.6]
    last = first_occurrences(reversed(link.payloads(QoS.AT_LEAST_ONCE)))
    assert last[::-1] == sent[QoS.AT_LEAST_ONCE]


class LossyLink(RuleBasedStateMachine):
    """Holds the statements about single packets at every moment, not just at the end."""

    def __init__(self):
        super().__init__()
        self.link = Link(Version.V5)
        self.number = 0

    @rule(qos=st.sampled_from([QoS.AT_LEAST_ONCE, QoS.EXACTLY_ONCE]))
    def publish(self, qos):
        self.number += 1
        self.link.send(Publish("t", b"%d" % self.number, qos))

    @precondition(lambda self: self.link.to_receiver)
    @rule()
    def receiver_reads(self):
        self.link.step_receiver()

    @precondition(lambda self: self.link.to_sender)
    @rule()
    def sender_reads(self):
        self.link.step_sender()

    @rule()
    def cut(self):
        self.link.cut_and_resume()

    @invariant()
    def dup_is_set_on_repeats_only(self):  # 5.0 MQTT-3.3.1-1
        seen = set()
        for packet in self.link.wire:
            if isinstance(packet, Publish):
                assert packet.dup == (packet.payload in seen)
                seen.add(packet.payload)

    @invariant()
    def no_publish_follows_its_pubrel(self):  # 5.0 MQTT-4.3.3-6
        released = {}
        for packet in self.link.wire:
            if isinstance(packet, PubRel):
                released[packet.packet_id] = True
            elif not packet.dup:
                released.pop(packet.packet_id, None)
            else:
                assert packet.packet_id not in released

    @invariant()
    def no_qos_2_message_is_delivered_twice(self):
        payloads = self.link.payloads(QoS.EXACTLY_ONCE)
        assert len(payloads) == len(set(payloads))

    def teardown(self):
        self.link.settle()
        assert len(self.link.sender) == 0


LossyLink.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestLossyLink = LossyLink.TestCase
