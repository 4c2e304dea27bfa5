"""Runs of PUBLISH packets on their way out: how each receiver gets them with the least work.

Belongs here: forwarding what came in as it came, in another form made once for all who need it, or message by message.
Does not belong here: reading the runs and deciding that they may be forwarded (`fastpath`), the way of one message
(`keeping.exchange`), quota and identifiers (`sending`).
"""

from __future__ import annotations

from typing import Final

from reference_broker.broker.fast.heads import Head, Receivers
from reference_broker.broker.keeping.session import Target
from reference_broker.broker.keeping.shared import SharedSubscription
from reference_broker.broker.outgoing.bursts import Burst
from reference_broker.broker.outgoing.sending import Sender, swells
from reference_broker.broker.peers.peer import Peer
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.runs import behind, every
from reference_broker.wire.types import QoS, Version

_AT_MOST_ONCE: Final = QoS.AT_MOST_ONCE

_WORTH_A_VIEW: Final = 16_384
"""Fewer bytes are copied: a view keeps all that came in from being freed."""

_LONGEST_KEPT_BEGINNING: Final = 256
"""What waits as packets holds its topic in each of them; the queue's bound counts payloads only."""

Forms = dict[tuple[bool, tuple[int, ...]], bytes]
"""Packets made for receivers of one kind: whether 5.0, and their subscription identifiers."""


Run = tuple[int, int, int, int, Head]
"""Neighbouring packets that begin alike: start, size of one, count, where the payload begins in each, head."""


class Forwarder:
    """What one client sent in one read, and forwarding runs of it."""

    __slots__ = ("_data", "_end", "_is_v5", "_link", "_now")

    def __init__(self, link: Peer, data: bytes, now: float) -> None:
        self._link = link
        self._data = data
        self._end = len(data)
        self._now = now
        self._is_v5 = link.version is Version.V5

    # --- QoS 0 -------------------------------------------------------------------------------------------------------

    def forward(self, runs: list[Run], receivers: Receivers) -> None:
        """Let each receiver have a stretch of QoS 0 runs: as it came, in another form, or message by message."""
        if receivers.shared is not None:
            for run in runs:
                self._deal(run, receivers.shared)
        targets = receivers.targets
        if not targets:
            return
        start = runs[0][0]
        last_start, last_size, last_count, _, _ = runs[-1]
        chunk = self._slice(start, last_start + last_size * last_count)
        forms: Forms = {}
        messages: list[Message] | None = None
        for target in targets:
            sender = target.session.sender
            if sender is not None:
                output = sender.output
                is_as_it_came = sender.is_v5 is self._is_v5 and not target.subscription_ids
                if is_as_it_came and sender.is_plain and not output.writing_paused:  # most by far
                    output.pass_on(chunk)
                    continue
                if output.is_overfull():
                    output.drop(sum(run[2] for run in runs))  # as one by one
                    continue
                if sender.is_plain and not (target.subscription_ids and swells(target)):
                    data: bytes | memoryview = chunk
                    if not is_as_it_came:
                        data = self._in_form(forms, runs, sender.is_v5, target)
                    if output.has_room(len(data)):
                        output.pass_on(data)
                        continue
            if messages is None:
                messages = [message for run in runs for message in self._messages(run)]
            self._deliver(target, _AT_MOST_ONCE, messages)

    def _deal(self, run: Run, shared: SharedSubscription) -> None:
        """Let each member of a shared subscription have its part of a QoS 0 run."""
        start, size, count, payload, head = run
        members = shared.deal(count)
        for number, member in enumerate(members):
            part = every(self._data, start, size, count, number, len(members))
            dealt = Forwarder(self._link, part, self._now)
            dealt.forward([(0, size, len(part) // size, payload, head)], Receivers((member,)))

    def _slice(self, start: int, end: int) -> bytes | memoryview:
        """These bytes of what came in; no copy when they are most of it and large enough for that to matter."""
        size = end - start
        if size < _WORTH_A_VIEW or 2 * size < self._end:
            return self._data[start:end]
        return memoryview(self._data)[start:end]

    def _in_form(self, forms: Forms, runs: list[Run], is_v5: bool, target: Target) -> bytes:
        """Runs as QoS 0 packets for one receiver, made once for all that need the same."""
        form = (is_v5, target.subscription_ids if is_v5 else ())
        if form not in forms:
            forms[form] = b"".join([self._as_qos0(run, *form) for run in runs])
        return forms[form]

    def _as_qos0(self, run: Run, is_v5: bool, subscription_ids: tuple[int, ...]) -> bytes:
        """A run as QoS 0 packets for receivers of one kind: the same payloads behind one other beginning."""
        start, size, count, payload, head = run
        beginning, _ = head.form.beginning(is_v5, subscription_ids, size - payload, _AT_MOST_ONCE)
        return behind(beginning, self._data, start, size, count, payload)

    def _messages(self, run: Run) -> list[Message]:
        """A run as messages, for receivers that need them."""
        start, size, count, payload, head = run
        data, now, publisher, form = self._data, self._now, self._link.client_id, head.form
        return [
            form.message(data[at + payload : at + size], _AT_MOST_ONCE, now, publisher)
            for at in range(start, start + count * size, size)
        ]

    def _deliver(self, target: Target, qos: QoS, messages: list[Message]) -> None:
        deliver_to = self._link.house.exchange.deliver_to
        for message in messages:
            deliver_to(target.session, message, qos, False, target.subscription_ids, self._now, target.share)

    # --- QoS 1 and 2 -------------------------------------------------------------------------------------------------

    def forward_acknowledged(self, burst: Burst, receivers: Receivers, own: Target | None, answers: bytes) -> None:
        """Let each receiver have a burst, and the publisher its `answers`; `own` is what it gets itself."""
        for target in receivers.targets:
            if target is not own:
                self._deliver_burst(target, burst)
        if receivers.shared is not None:
            members = receivers.shared.deal(burst.count)
            for number, member in enumerate(members):
                dealt = burst.dealt(number, len(members))
                self._deliver_burst(member, dealt)
                dealt.passed_on()
        if own is None:
            self._link.answer(answers)
        else:
            self._deliver_own(own, burst, answers)
        burst.passed_on()

    def _deliver_burst(self, target: Target, burst: Burst) -> None:
        """Let another client than the publisher have a burst."""
        qos = min(burst.qos, target.qos)
        taken = 0
        sender = target.session.sender
        if sender is not None:
            if qos is _AT_MOST_ONCE:
                taken = _send_at_qos0(sender, target, burst)
            else:
                taken = 0 if sender.is_waiting() else sender.launch(burst, 0, burst.count, qos, target)
                taken += _let_wait(sender, target, qos, burst, taken)
        if taken < burst.count:
            self._deliver(target, qos, burst.messages()[taken:])

    def _deliver_own(self, own: Target, burst: Burst, answers: bytes) -> None:
        """As `_deliver_burst` for the publisher: each message before its acknowledgement, as one by one."""
        link = self._link
        _, sender = link.parts()
        qos = min(burst.qos, own.qos)
        between = answers if link.held_answers is None else b""
        sent = 0 if sender.is_waiting() else sender.launch(burst, 0, burst.count, qos, own, between)
        taken = sent + _let_wait(sender, own, qos, burst, sent)
        answered = sent if between else 0
        if answered < taken:
            link.answer(answers[4 * answered : 4 * taken])
        if taken < burst.count:
            messages = burst.messages()
            for index in range(taken, burst.count):
                self._deliver(own, qos, messages[index : index + 1])
                link.answer(answers[4 * index : 4 * index + 4])


def _send_at_qos0(sender: Sender, target: Target, burst: Burst) -> int:
    """Send a burst at QoS 0, all of it or nothing; how many messages."""
    if not sender.is_plain or (target.subscription_ids and swells(target)):
        return 0
    data, _, _, _ = burst.packets(0, burst.count, sender.is_v5, target.subscription_ids, _AT_MOST_ONCE)
    if not sender.output.has_room(len(data)):
        return 0
    sender.output.write(data)  # as one by one: at most once, even if its publisher sends it again after a crash
    return burst.count


def _let_wait(sender: Sender, target: Target, qos: QoS, burst: Burst, first: int) -> int:
    """Let a burst wait from its message `first`, if it has to; how many messages are done with."""
    if first == burst.count or burst.payload_at > _LONGEST_KEPT_BEGINNING or not sender.has_to_wait():
        return 0
    return sender.keep_waiting(burst, first, qos, target)
