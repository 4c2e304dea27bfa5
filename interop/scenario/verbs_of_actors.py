"""What an actor does, as an application does it: connect, subscribe, publish, acknowledge, ...

Belongs here: the models of these verbs, their fields and what they mean.
Does not belong here: what happens on a link (`verbs_on_links`), what is looked at (`verbs_that_look`), words for all of
them (`steps`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interop.scenario import numbered
from interop.scenario.step import AnyStep, Count
from interop.scenario.values import (
    MqttLabel,
    Payload,
    PropertyMap,
    QoSLevel,
    Reason,
    Strict,
)

ConnectOutcome = Literal["accepted", "refused", "cut-off", "pending"]


class Connect(AnyStep):
    """The actor connects (again). Its session settings are the actor's unless overridden here.

    `pending` goes on at once, without waiting for what becomes of it.
    """

    do: Literal["connect"]
    actor: str = Field(alias="as")
    mqtt: MqttLabel | None = Field(None, description="the version of this connection, where the actor changes it")
    session: Literal["clean", "kept"] | None = None
    keep_alive: Annotated[int, Field(ge=0, le=65535)] | None = None
    client_id: str | None = None
    username: str | None = None
    password: str | None = None
    properties: PropertyMap | None = Field(None, description="replaces the actor's CONNECT properties")
    without_will: bool = False
    outcome: ConnectOutcome | tuple[ConnectOutcome, ...] = Field(
        "accepted", description="a list where the specification lets the broker choose, e.g. [refused, cut-off]"
    )
    session_present: bool | None = Field(
        None, description="expected in CONNACK; not looked at in 3.1, which has no such flag"
    )
    reason: Reason | tuple[Reason, ...] | None = Field(None, description="expected return or reason code in CONNACK")
    answer: PropertyMap = Field(default_factory=dict, description="properties CONNACK must carry")

    def outcomes(self) -> tuple[ConnectOutcome, ...]:
        """The outcomes that are right, however they were written."""
        return self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)


class Disconnect(AnyStep):
    """The actor disconnects with DISCONNECT."""

    do: Literal["disconnect"]
    actor: str = Field(alias="as")
    reason: Reason = 0
    properties: PropertyMap = Field(default_factory=dict)


class TopicRequest(Strict):
    """One topic filter of a SUBSCRIBE; the options besides `qos` exist in 5.0 only."""

    topic: str
    qos: QoSLevel = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: Annotated[int, Field(ge=0, le=2)] = 0


class Subscribe(AnyStep):
    """The actor subscribes in one SUBSCRIBE: one filter (`topic` and its options), `count` of it, or several, `topics`.

    One code of `granted` is meant for all of a count.
    """

    do: Literal["subscribe"]
    actor: str = Field(alias="as")
    topic: str | None = None
    count: Count = 1
    qos: QoSLevel = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: Annotated[int, Field(ge=0, le=2)] = 0
    topics: tuple[TopicRequest, ...] = ()
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "refused", "cut-off", "pending"] = "done"
    granted: Reason | tuple[Reason, ...] | None = Field(None, description="expected codes in SUBACK, on the wire")
    answer: PropertyMap = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Subscribe:
        if (self.topic is None) == (not self.topics):
            raise ValueError("give either `topic` or `topics`")
        return self

    def requests(self) -> tuple[TopicRequest, ...]:
        """The filters asked for, however they were written."""
        if self.topic is None:
            return self.topics
        return tuple(
            TopicRequest(
                topic=each.topic or "",
                qos=self.qos,
                no_local=self.no_local,
                retain_as_published=self.retain_as_published,
                retain_handling=self.retain_handling,
            )
            for each in numbered.numbered(self)
        )


class Unsubscribe(AnyStep):
    """The actor unsubscribes in one UNSUBSCRIBE: from one filter (`topic`), `count` of it, or several (`topics`).

    One code of `reasons` is meant for all of a count.
    """

    do: Literal["unsubscribe"]
    actor: str = Field(alias="as")
    topic: str | None = None
    count: Count = 1
    topics: tuple[str, ...] = ()
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "cut-off", "pending"] = "done"
    reasons: tuple[Reason, ...] | None = Field(None, description="expected codes in UNSUBACK (5.0), on the wire")

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Unsubscribe:
        if (self.topic is None) == (not self.topics):
            raise ValueError("give either `topic` or `topics`")
        return self

    def filters(self) -> tuple[str, ...]:
        """The filters named, however they were written."""
        return self.topics if self.topic is None else tuple(each.topic or "" for each in numbered.numbered(self))


class Publish(AnyStep):
    """The actor publishes one message, `payloads` one after another, or `count` of them.

    Of a count, 500 are handed over at a time, and the next ones once these are done and, with `in_step_with`, that
    actor has as many messages more: so no queue need be longer. Windows count from the last of them. Those that are not
    waited for (`pending`, `cut-off`) are handed over at once.

    `done` waits until the application is told of its delivery; `pending` goes on at once (see `completed`);
    `cut-off` means that the connection ends first; `refused` that the broker answers with an error (5.0) or that the
    client itself refuses to send what the broker does not allow.
    """

    do: Literal["publish"]
    actor: str = Field(alias="as")
    topic: str = Field(description="relative; '' with a topic_alias property sends an empty topic name")
    qos: QoSLevel = 0
    retain: bool = False
    payload: Payload = ""
    payloads: tuple[Payload, ...] = Field((), description="several messages, all handed over before waiting for any")
    count: Count = 1
    in_step_with: str | None = Field(None, description="an actor that gets each of a count")
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "pending", "cut-off", "refused"] = "done"
    reason: Reason | tuple[Reason, ...] | None = Field(
        None, description="expected code in PUBACK or PUBREC (5.0), on the wire"
    )

    @model_validator(mode="after")
    def _in_step_where_it_waits(self) -> Publish:
        if self.in_step_with is not None and (self.count == 1 or self.outcome != "done"):
            raise ValueError("`in_step_with` is for a `count` that is waited for")
        return self


class Ack(AnyStep):
    """The actor (with `manual_ack`) acknowledges a message it received: by payload, or the oldest one still waiting."""

    do: Literal["ack"]
    actor: str = Field(alias="as")
    payload: Payload | None = None
    reason: Reason = Field(0, description="a code of 0x80 or more refuses the message (5.0)")


class Auth(AnyStep):
    """The actor begins re-authentication (5.0)."""

    do: Literal["auth"]
    actor: str = Field(alias="as")
    properties: PropertyMap = Field(default_factory=dict)
    outcome: Literal["done", "refused", "cut-off"] = "done"
