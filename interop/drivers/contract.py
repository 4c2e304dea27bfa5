"""The contract between the harness and a client under test: commands in, events out, one JSON object per line.

Belongs here: every message of the contract, its version.
Does not belong here: how a message travels (`process`, `in_process`), or what a client library does with it (`paho`).

The harness writes commands to the adapter's standard input, the adapter writes events to its standard output; standard
error is its log. A command carries an `id`; exactly one event answers it and repeats that `id`. Events without an `id`
(`message`, `disconnected`) come whenever they happen. Commands may overlap: a `publish` that waits for its PUBACK does
not hold up the next command. In an event `null`, or a field left out, means "this client cannot observe it", never
"false". Commands carry every field that has a value, defaults too.

An adapter serves one client instance at a time: `reset` throws it away, network connection included, and makes the
adapter as good as new. A second `connect` without `reset` uses the same client instance and its session state again;
with another client id it begins a new session, and what the old one owed is answered `cut-off`.
An adapter ends when its standard input does.

Lines. UTF-8 whatever the locale is, a line feed at the end, flushed at once, and nothing else on standard output. A
line is at most 16 MiB long, the commands' too: the largest payload of a scenario is 1 MiB, 1.4 MB in base64. Several
commands may come in one read, and a command in several. `id` counts from 1.

Time. `hello` comes within 10 s of the start, the answer to a made-up verb within 10 s more. `reset` takes at most 2 s,
`exit` 1 s, and then the end of the process 1 s, as does the end after the end of input; later the process is killed
with its group. Every other command is given 5 s and what the network takes, then the step has failed; who does not
answer a `hello` within 5 s then has hung. An adapter needs no time limit of its own: what it waits for, the broker's
answer, may be kept back on purpose, and commands that scenarios leave waiting stay unanswered to their end.

Processes. A cell needs one, and the next cell has it after `reset`. Up to 14 run at once for each worker of a run
(`-n`), 34 where the broker is far away. So a fixed port, file or lock of an adapter's is in its own way.

Connections. `host` is 127.0.0.1, which a server's certificate names, too. `connect` is answered once CONNACK is in, or
with `error`: `refused` where CONNACK says no (`reason` has its code), `cut-off` where the
connection ended before CONNACK (`failed`, if the client cannot tell these), `failed` where none came about. It takes
the place of a connection that is still there. What a library fixes as its client is made, Clean Start for some, may
take a new one of the library's, where the old one's session is not wanted any more.

`disconnected` without an `id` tells of a connection's end (`by` is `broker` where it sent DISCONNECT, else `network`).
Where it was told before, or `connect`, `disconnect`, `drop` or `reset` was the reason, it need not come, and nobody
minds if it does before the next `connected`. Scenarios wait 3 s for it, as for a `message`, unless they name a time.

What waits when a connection ends: `subscribe`, `unsubscribe`, `ack` and `auth` are taken to be `cut-off` then, whether
the adapter says so or not, and `auth` to be `refused` where the broker sent DISCONNECT with a `reason`. A `connect` is
answered. A `publish` stays due for as long as its client may complete it on a later connection; what the client forgets
is answered `cut-off`, or not at all. Without a connection `drop` is answered `dropped`, and every other command but
`connect` `cut-off`, unless the client keeps it for later (`publish-offline`).

Values. What a client cannot send as it is asked for is answered by the error `unsupported` and not sent at all, however
small the difference: properties it has no way to set, a password with a zero byte that it would cut there, filters of
one SUBSCRIBE that cannot have different options; so is what it cannot do in one of its versions only. What the library
itself refuses as wrong, a topic that is none, is `failed`. Properties that nobody asks for are left out or, where there
may be several, an empty list; a SUBSCRIBE has up to 1,024 filters. SUBACK is told as `subscribed` even where it
refuses: `reasons` has its codes, in 3.x 0 to 2 and 128, as UNSUBACK's codes are in `unsubscribed`, in 5.0. A `reason`
that 3.x does not have is left out or 0. Who has `manual-ack` counts messages, over all connections until `reset`;
others may leave `message` out.

Keep Alive comes as it is: 0 turns it off, 1 is the shortest that scenarios use; a client that has a longer minimum has
no `keep-alive`. A `topic_alias` in the properties of `publish` goes out as asked for: beside a topic it sets the alias,
beside an empty topic it stands for what it was set to on this connection; where it was not, the answer is an `error`
and nothing is sent. A client that chooses aliases by itself has no `topic-alias`. A `message` has the whole topic,
whatever alias it came with.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, TypeAdapter, WithJsonSchema

CONTRACT_VERSION = 1

MqttLabel = Literal["3.1", "3.1.1", "5.0"]
QoSLevel = Annotated[int, Field(ge=0, le=2)]
KeepAliveSeconds = Annotated[int, Field(ge=0, le=65535)]


def _bytes_from(value: object) -> object:
    return b64decode(value, validate=True) if isinstance(value, str) else value


Binary = Annotated[
    bytes,
    BeforeValidator(_bytes_from),
    PlainSerializer(lambda value: b64encode(value).decode("ascii"), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""`bytes` in Python, standard base64 text in JSON."""


class Message(BaseModel):
    """What all messages of the contract share: nothing unknown is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PropertyValues(Message):
    """5.0 properties by the specification's names; binary values in base64."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: Binary | None = None
    subscription_identifier: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: Binary | None = None
    request_problem_information: int | None = None
    will_delay_interval: int | None = None
    request_response_information: int | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: int | None = None
    user_property: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: int | None = None
    subscription_identifier_available: int | None = None
    shared_subscription_available: int | None = None


NONE = PropertyValues()


# --- commands: harness -> adapter -------------------------------------------------------------------------------------


class Command(Message):
    """A request; `id` is chosen by the harness and repeated in the answer."""

    id: int


class Hello(Command):
    """The first command: who are you, and what can you do? Answered by `hello`."""

    do: Literal["hello"] = "hello"
    contract: int = CONTRACT_VERSION


class WillMessage(Message):
    """The will of a connect command."""

    topic: str
    payload: Binary = b""
    qos: QoSLevel = 0
    retain: bool = False
    properties: PropertyValues = NONE


class Connect(Command):
    """Open a network connection and send CONNECT. Answered by `connected`, or by `error`.

    `clean_start` is Clean Session in 3.x. `manual_ack`: PUBACK and PUBREC wait for `ack` commands.
    The client must not reconnect by itself and must not change the protocol version. Where the broker wants more
    authentication data (AUTH 0x18), it gets `authentication_data` of this command, or of the later `auth`, once more.
    """

    do: Literal["connect"] = "connect"
    mqtt: MqttLabel
    transport: Literal["tcp", "tls", "ws", "wss"] = "tcp"
    host: str = "127.0.0.1"
    port: int
    path: str = "/mqtt"
    ca_file: str | None = None
    client_id: str = ""
    clean_start: bool = True
    keep_alive: KeepAliveSeconds = 60
    username: str | None = None
    password: Binary | None = None
    will: WillMessage | None = None
    properties: PropertyValues = NONE
    manual_ack: bool = False


class SubscriptionRequest(Message):
    """One topic filter with its options; 3.x uses `qos` only."""

    topic_filter: str
    qos: QoSLevel = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: Annotated[int, Field(ge=0, le=2)] = 0


class Subscribe(Command):
    """Send one SUBSCRIBE. Answered by `subscribed` when SUBACK is in."""

    do: Literal["subscribe"] = "subscribe"
    subscriptions: Annotated[tuple[SubscriptionRequest, ...], Field(min_length=1)]
    properties: PropertyValues = NONE


class Unsubscribe(Command):
    """Send one UNSUBSCRIBE. Answered by `unsubscribed` when UNSUBACK is in."""

    do: Literal["unsubscribe"] = "unsubscribe"
    topic_filters: Annotated[tuple[str, ...], Field(min_length=1)]
    properties: PropertyValues = NONE


class Publish(Command):
    """Publish one message. Answered by `published` when its flow is complete (QoS 0: when it is handed to the network).

    A PUBACK or PUBREC that says no is answered by the error `refused`, where the client tells its application.
    If the network connection goes away first, the answer stays due until a later connection completes the flow.
    """

    do: Literal["publish"] = "publish"
    topic: str
    payload: Binary = b""
    qos: QoSLevel = 0
    retain: bool = False
    properties: PropertyValues = NONE


class Ack(Command):
    """Acknowledge the message with this `message` number (manual acknowledgement only). Answered by `acked`."""

    do: Literal["ack"] = "ack"
    message: int
    reason: int = 0


class Auth(Command):
    """Begin re-authentication with AUTH. Answered by `authenticated`."""

    do: Literal["auth"] = "auth"
    properties: PropertyValues = NONE


class Disconnect(Command):
    """Send DISCONNECT and close. Answered by `disconnected` with this id."""

    do: Literal["disconnect"] = "disconnect"
    reason: int = 0
    properties: PropertyValues = NONE


class Drop(Command):
    """Close the network connection, if there is one, at once and without DISCONNECT. Answered by `dropped`."""

    do: Literal["drop"] = "drop"


class Reset(Command):
    """Throw the client instance away, without a word to the broker, and be ready for another. Answered by `ready`.

    Commands without an answer are forgotten: nothing of the old instance may be written after `ready`.
    """

    do: Literal["reset"] = "reset"


class Exit(Command):
    """End the process. Answered by `bye`."""

    do: Literal["exit"] = "exit"


AnyCommand = Annotated[
    Hello | Connect | Subscribe | Unsubscribe | Publish | Ack | Auth | Disconnect | Drop | Reset | Exit,
    Field(discriminator="do"),
]


# --- events: adapter -> harness ---------------------------------------------------------------------------------------


class Event(Message):
    """Something that happened; `id` repeats the command's when this event is its answer."""

    id: int | None = None


class HelloEvent(Event):
    """Who the adapter speaks for. `unsupported` lists features by the names scenarios use in `needs`."""

    event: Literal["hello"] = "hello"
    contract: int = CONTRACT_VERSION
    client: str
    version: str
    mqtt: Annotated[tuple[MqttLabel, ...], Field(min_length=1)]
    transports: tuple[Literal["tcp", "tls", "ws", "wss"], ...] = ("tcp",)
    unsupported: tuple[str, ...] = ()


class Connected(Event):
    """CONNACK with success is in."""

    event: Literal["connected"] = "connected"
    session_present: bool | None = None
    reason: int | None = None
    properties: PropertyValues | None = None


class Subscribed(Event):
    """SUBACK is in."""

    event: Literal["subscribed"] = "subscribed"
    reasons: tuple[int, ...] | None = None
    properties: PropertyValues | None = None


class Unsubscribed(Event):
    """UNSUBACK is in."""

    event: Literal["unsubscribed"] = "unsubscribed"
    reasons: tuple[int, ...] | None = None
    properties: PropertyValues | None = None


class Published(Event):
    """The application was told that its message is delivered."""

    event: Literal["published"] = "published"
    reason: int | None = None
    properties: PropertyValues | None = None


class MessageEvent(Event):
    """A message reached the application; `message` counts from 1 within one client instance, for `ack` to name it."""

    event: Literal["message"] = "message"
    message: int | None = None
    topic: str
    payload: Binary = b""
    qos: QoSLevel | None = None
    retain: bool | None = None
    dup: bool | None = None
    packet_id: int | None = None
    properties: PropertyValues | None = None


class Acked(Event):
    """The acknowledgement was handed to the client library."""

    event: Literal["acked"] = "acked"


class Authenticated(Event):
    """Re-authentication succeeded."""

    event: Literal["authenticated"] = "authenticated"
    properties: PropertyValues | None = None


class Disconnected(Event):
    """The application was told that the connection ended; without an `id` it was not the application's wish."""

    event: Literal["disconnected"] = "disconnected"
    by: Literal["client", "broker", "network"] | None = None
    reason: int | None = None
    properties: PropertyValues | None = None


class Dropped(Event):
    """The network connection was closed without DISCONNECT."""

    event: Literal["dropped"] = "dropped"


class Ready(Event):
    """As good as new."""

    event: Literal["ready"] = "ready"


class Bye(Event):
    """The last event."""

    event: Literal["bye"] = "bye"


class ErrorEvent(Event):
    """A command did not succeed.

    `unsupported`: the client, or the adapter, cannot do this; the answer to any verb it does not know.
    `refused`: the broker said no; `reason` holds its code as the version in use writes it (5 or 135: not authorized).
    `cut-off`: the network connection ended before the answer. `failed`: anything else, see `detail`.
    """

    event: Literal["error"] = "error"
    error: Literal["unsupported", "refused", "cut-off", "failed"]
    reason: int | None = None
    detail: str = ""
    properties: PropertyValues | None = None


AnyEvent = Annotated[
    HelloEvent
    | Connected
    | Subscribed
    | Unsubscribed
    | Published
    | MessageEvent
    | Acked
    | Authenticated
    | Disconnected
    | Dropped
    | Ready
    | Bye
    | ErrorEvent,
    Field(discriminator="event"),
]

ANSWERS: dict[str, type[Event]] = {
    "hello": HelloEvent,
    "connect": Connected,
    "subscribe": Subscribed,
    "unsubscribe": Unsubscribed,
    "publish": Published,
    "ack": Acked,
    "auth": Authenticated,
    "disconnect": Disconnected,
    "drop": Dropped,
    "reset": Ready,
    "exit": Bye,
}
"""Each verb and the event that answers it, where `error` does not."""

UNASKED = (MessageEvent, Disconnected)
"""The events that come without an `id`."""

COMMAND: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)
EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def json_schema() -> dict[str, Any]:
    """The contract as a JSON Schema: `#/$defs/command` is a line an adapter reads, `#/$defs/event` one it writes."""
    parts, shared = TypeAdapter.json_schemas(
        [("command", "validation", COMMAND), ("event", "validation", EVENT)],
        ref_template="#/$defs/{model}",
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mqtt-interop adapter contract, version {CONTRACT_VERSION}: a command or an event, one per line",
        "anyOf": [{"$ref": "#/$defs/command"}, {"$ref": "#/$defs/event"}],
        "$defs": {name: part for (name, _), part in parts.items()} | shared["$defs"],
    }
