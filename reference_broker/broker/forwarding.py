"""Runs of PUBLISH packets on their way out: how each receiver gets them with the least work.

Belongs here: forwarding what came in as it came, in another form made once for all who need it, or message by message.
Does not belong here: reading the runs and deciding that they may be forwarded (`fastpath`), the way of one message
(`broker`), quota and identifiers (`sending`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference_broker.broker.heads import Head
from reference_broker.broker.message import Message
from reference_broker.broker.waiting import KeptRun
from reference_broker.wire.types import QoS, Version

if TYPE_CHECKING:
    from reference_broker.broker.link import Link
    from reference_broker.broker.routing import Target
    from reference_broker.broker.sending import Sender

_WORTH_A_VIEW: Final = 16_384
"""Fewer bytes are copied: a view keeps all that came in from being freed."""

_LONGEST_KEPT_BEGINNING: Final = 256
"""What waits as packets holds its topic in each of them; the queue's bound counts payloads only."""

Forms = dict[tuple[bool, tuple[int, ...]], bytes]
"""Packets made for receivers of one kind: whether 5.0, and their subscription identifiers."""


class _Made:
    """What was made of one run for receivers that need another form, once for all of them."""

    __slots__ = ("forms", "kept", "messages")

    def __init__(self) -> None:
        self.forms: Forms = {}
        self.kept: KeptRun | None = None
        self.messages: list[Message] | None = None


Run = tuple[int, int, int, int, Head]
"""Neighbouring packets that begin alike: start, size of one, count, where the payload begins in each, head."""


class Forwarder:
    """What one client sent in one read, and forwarding runs of it."""

    __slots__ = ("_broker", "_data", "_end", "_is_v5", "_link", "_now")

    def __init__(self, link: Link, data: bytes, now: float) -> None:
        self._link = link
        self._broker = link.broker
        self._data = data
        self._end = len(data)
        self._now = now
        self._is_v5 = link.version is Version.V5

    # --- QoS 0 -------------------------------------------------------------------------------------------------------

    def forward(self, runs: list[Run], targets: tuple[Target, ...]) -> None:
        """Let each receiver have a stretch of QoS 0 runs: as it came, in another form, or message by message."""
        start = runs[0][0]
        last_start, last_size, last_count, _, _ = runs[-1]
        chunk = self._slice(start, last_start + last_size * last_count)
        forms: Forms = {}
        messages: list[Message] | None = None
        for target in targets:
            link = target.session.link
            sender = link.sender if link is not None else None
            if link is not None and sender is not None:
                if link.is_overfull():
                    link.dropped_messages += sum(run[2] for run in runs)  # as one by one
                    continue
                if sender.is_plain:
                    data: bytes | memoryview = chunk
                    if sender.is_v5 is not self._is_v5 or target.subscription_ids:
                        data = self._in_form(forms, runs, sender.is_v5, target)
                    if link.has_room(len(data)):
                        link.write(data)
                        continue
            if messages is None:
                messages = [message for run in runs for message in self._messages(QoS.AT_MOST_ONCE, run)]
            self._deliver(target, QoS.AT_MOST_ONCE, messages)

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
        beginning = head.beginning(is_v5, subscription_ids, size - payload)
        first, length = start + payload, size - payload
        data = self._data
        payloads = [data[at : at + length] for at in range(first, first + count * size, size)]
        return beginning + beginning.join(payloads)

    def _messages(self, qos: QoS, run: Run) -> list[Message]:
        """A run as messages, for receivers that need them."""
        start, size, count, payload, head = run
        data, now = self._data, self._now
        publisher = self._link.client_id
        return [
            Message(head.topic, data[at + payload : at + size], qos, False, head.properties, now, publisher)
            for at in range(start, start + count * size, size)
        ]

    def _deliver(self, target: Target, qos: QoS, messages: list[Message]) -> None:
        deliver_to = self._broker.deliver_to
        for message in messages:
            deliver_to(target.session, message, qos, False, target.subscription_ids, self._now)

    # --- QoS 1 and 2 -------------------------------------------------------------------------------------------------

    def forward_acknowledged(self, qos: QoS, run: Run, id_at: int, own: Target | None, answers: bytes) -> None:
        """Let each receiver have a run of QoS 1 or 2, and the publisher its `answers`; `own` is what it gets itself."""
        made = _Made()
        for target in run[4].targets:
            if target is not own:
                self._deliver_acknowledged(target, qos, run, id_at, made)
        if own is None:
            self._link.answer(answers)
        else:
            self._deliver_own(own, qos, run, id_at, made, answers)

    def _deliver_acknowledged(self, target: Target, qos: QoS, run: Run, id_at: int, made: _Made) -> None:
        """Let another client than the publisher have a run."""
        granted = min(qos, target.qos)
        taken = 0
        link = target.session.link
        sender = link.sender if link is not None else None
        if link is not None and sender is not None:
            if granted is QoS.AT_MOST_ONCE:
                taken = self._send_as_qos0(link, sender, target, run, made)
            else:
                taken = self._launch(sender, target, granted, run, id_at)
                taken += self._let_wait(sender, target, granted, qos, run, id_at, made, taken)
        if taken < run[2]:
            self._deliver(target, granted, self._made_messages(qos, run, made)[taken:])

    def _deliver_own(self, own: Target, qos: QoS, run: Run, id_at: int, made: _Made, answers: bytes) -> None:
        """Let the publisher have its own run, each message before its acknowledgement, as one by one."""
        link = self._link
        _, sender = link.parts()
        granted = min(qos, own.qos)
        between = answers if link.held_answers is None else b""
        launched = self._launch(sender, own, granted, run, id_at, between)
        taken = launched + self._let_wait(sender, own, granted, qos, run, id_at, made, launched)
        answered = launched if between else 0
        if answered < taken:
            link.answer(answers[4 * answered : 4 * taken])
        if taken < run[2]:
            messages = self._made_messages(qos, run, made)
            for index in range(taken, run[2]):
                self._deliver(own, granted, messages[index : index + 1])
                link.answer(answers[4 * index : 4 * index + 4])

    def _send_as_qos0(self, link: Link, sender: Sender, target: Target, run: Run, made: _Made) -> int:
        """Send a run of a higher QoS at QoS 0, all of it or nothing; how many packets."""
        if not sender.is_plain:
            return 0
        data = self._in_form(made.forms, [run], sender.is_v5, target)
        if not link.has_room(len(data)):
            return 0
        link.write(data)
        return run[2]

    def _launch(self, sender: Sender, target: Target, granted: QoS, run: Run, id_at: int, answers: bytes = b"") -> int:
        """Send what the quota allows of a run that needs only identifiers; how many packets."""
        if not sender.is_plain or sender.is_v5 is not self._is_v5 or target.subscription_ids or sender.is_waiting():
            return 0
        start, size, count, _, _ = run
        return sender.launch(self._data, start, size, count, id_at, granted, answers)

    def _let_wait(
        self, sender: Sender, target: Target, granted: QoS, qos: QoS, run: Run, id_at: int, made: _Made, first: int
    ) -> int:
        """Let a run wait as it came, from its packet number `first`, if it has to; how many packets have room."""
        start, size, count, payload, head = run
        if first == count or payload > _LONGEST_KEPT_BEGINNING or not sender.has_to_wait():
            return 0
        if made.kept is None:
            data = self._data[start : start + count * size]
            made.kept = KeptRun(
                data, size, id_at, payload, self._is_v5, head.topic, head.properties, qos, self._now,
                self._link.client_id,
            )  # fmt: skip
        return sender.keep_waiting(made.kept, first, granted, target.subscription_ids)

    def _made_messages(self, qos: QoS, run: Run, made: _Made) -> list[Message]:
        if made.messages is None:
            made.messages = self._messages(qos, run)
        return made.messages
