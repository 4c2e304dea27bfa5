"""QoS 1 and 2 messages of one publisher that begin alike and came together, as the packets they came in.

Belongs here: the packets for each kind of receiver, made when first needed, and single messages out of them.
Does not belong here: sending and identifiers (`sending`), waiting (`waiting`).
"""

from __future__ import annotations

from reference_broker.broker.outgoing.forms import Form
from reference_broker.broker.values.journal import Body
from reference_broker.broker.values.message import Message
from reference_broker.broker.values.runs import behind, every
from reference_broker.broker.values.terms import Terms
from reference_broker.wire.types import QoS

Packets = tuple[bytes, int, int, int]
"""Bytes, where the first packet starts in them, the size of each, and where its packet identifier is."""


class Burst:
    """`count` packets in the version they came in; they do not expire, are not retained, and may be shared.

    `size` is that of each packet, its packet identifier is at `id_at`, and the payload goes from `payload_at` to its
    end.
    """

    __slots__ = (
        "_forms",
        "_messages",
        "accepted_at",
        "body",
        "count",
        "data",
        "form",
        "id_at",
        "is_v5",
        "payload_at",
        "publisher",
        "qos",
        "size",
        "start",
        "waits",
    )

    def __init__(
        self,
        data: bytes,
        start: int,
        size: int,
        count: int,
        id_at: int,
        payload_at: int,
        form: Form,
        qos: QoS,
        is_v5: bool,
        now: float,
        publisher: str | None,
    ) -> None:
        self.data = data
        self.start = start
        self.size = size
        self.count = count
        self.id_at = id_at
        self.payload_at = payload_at
        self.form = form
        self.qos = qos
        self.is_v5 = is_v5
        self.accepted_at = now
        self.publisher = publisher
        self.body: Body | None = None
        """What the store has of it, if anything."""
        self.waits = False
        """Whether some of it waits in a session."""
        self._forms: dict[tuple[bool, tuple[int, ...], bool], Packets] | None = None
        self._messages: list[Message] | None = None

    @property
    def payload_size(self) -> int:
        """Bytes of each payload."""
        return self.size - self.payload_at

    def messages(self) -> list[Message]:
        """All of it as objects, the same for all who ask before `passed_on`."""
        if self._messages is None:
            self._messages = [self.message(index) for index in range(self.count)]
        return self._messages

    def message(self, index: int) -> Message:
        """One of its messages as an object."""
        form, at = self.form, self.start + index * self.size
        payload = self.data[at + self.payload_at : at + self.size]
        message = form.message(payload, self.qos, self.accepted_at, self.publisher)
        message.body, message.index = self.body, index
        return message

    def dealt(self, number: int, of: int) -> Burst:
        """Every `of`th of its packets from number `number`, as a burst of their own."""
        data = every(self.data, self.start, self.size, self.count, number, of)
        return Burst(
            data, 0, self.size, len(data) // self.size, self.id_at, self.payload_at, self.form, self.qos, self.is_v5,
            self.accepted_at, self.publisher,
        )  # fmt: skip

    def suits(self, is_v5: bool, terms: Terms) -> bool:
        """Whether packets in that version say all that has to be known of them when they are not acknowledged.

        The session may return in 5.0; and who inherits a shared subscription's message has no use for the identifier.
        """
        if terms.subscription_ids:
            return is_v5 and terms.share is None
        return is_v5 or self.form.is_bare

    def packets(self, first: int, count: int, is_v5: bool, subscription_ids: tuple[int, ...], qos: QoS) -> Packets:
        """`count` of its packets from number `first`, for receivers of one kind; whoever sends them sets identifiers.

        At QoS 0 they have none. All of them in another form are made once for all who ask before `passed_on`.
        """
        if qos and is_v5 is self.is_v5 and not (is_v5 and subscription_ids):
            return self.data, self.start + first * self.size, self.size, self.id_at
        key = (is_v5, subscription_ids if is_v5 else (), bool(qos))
        if first or count < self.count:
            return self._form(*key, first, count)
        if self._forms is None:
            self._forms = {}
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._form(*key, first, count)
        return form

    def passed_on(self) -> None:
        """Everybody has it, or it waits: let go of what was made, and of what else came in the read."""
        self._forms = self._messages = None
        if self.waits:
            self.data = self.data[self.start : self.start + self.size * self.count]
            self.start = 0

    def _form(self, is_v5: bool, subscription_ids: tuple[int, ...], has_id: bool, first: int, count: int) -> Packets:
        """The same payloads behind another beginning."""
        qos = QoS.AT_LEAST_ONCE if has_id else QoS.AT_MOST_ONCE
        beginning, id_at = self.form.beginning(is_v5, subscription_ids, self.payload_size, qos)
        start = self.start + first * self.size
        data = behind(beginning, self.data, start, self.size, count, self.payload_at)
        return data, 0, len(beginning) + self.payload_size, id_at
