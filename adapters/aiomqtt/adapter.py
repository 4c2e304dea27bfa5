"""aiomqtt, 1.2 and 2, behind the contract: asyncio over Paho, and Paho's MQTT.

Belongs here: the contract's commands in its public calls. Does not belong here: what only Paho beneath it knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from importlib.metadata import version
from typing import Any

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main
from interop.drivers.paho import RETURN_CODES, properties_of, values_of

_IS_1 = not hasattr(aiomqtt, "exceptions")
_Refused: Any = (aiomqtt.error if _IS_1 else aiomqtt.exceptions).MqttConnectError
_IDENTIFIER = "client_id" if _IS_1 else "identifier"
_VERSIONS = dict(zip(("3.1", "3.1.1", "5.0"), aiomqtt.ProtocolVersion, strict=True))
_CONNACK_SECONDS = 3.0  # it learns of a connection's end before CONNACK only by its own time limit


class AiomqttAdapter(Adapter):
    """One aiomqtt client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: aiomqtt.Client | None = None
        self._loop = asyncio.get_running_loop()
        self._made_for: contract.Connect | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connected = False
        self._listening: Any = None  # what it listens with ends with it
        self._sockets: set[int] = set()

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It tells of no CONNACK, acknowledges by itself, and disconnects without anything to say."""
        return contract.HelloEvent(
            client="aiomqtt", version=version("aiomqtt"), mqtt=tuple(_VERSIONS), transports=("tcp", "tls", "ws", "wss"),
            unsupported=("auth", "refuse-message", "topic-alias-inbound", "manual-ack", "publish-offline",
                         "reason-codes", "disconnect-reason", "disconnect-properties"),
        )  # fmt: skip

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect; with the same client where nothing about it is different."""
        await self._cut()
        wanted = command.model_copy(update={"id": 0})
        if self._client is None or wanted != self._made_for:
            self._made_for, self._client = wanted, self._new_client(command)
        # In 1 a message is for who listens by then, in 2 for who asks later.
        self._listening = self._client.messages() if _IS_1 else contextlib.nullcontext(self._client.messages)
        messages = await self._listening.__aenter__()
        try:
            await self._client.__aenter__()
        except _Refused as refused:
            code = getattr(refused.rc, "value", refused.rc)
            code = code if command.mqtt == "5.0" else RETURN_CODES.get(code, code)
            raise Unsuccessful("refused", str(refused), reason=code) from None
        except aiomqtt.MqttError as problem:
            was_there = not isinstance(problem.__context__, OSError)
            raise Unsuccessful("cut-off" if was_there else "failed", str(problem)) from None
        self._connected = True
        self._sockets |= {connection.fileno()} if (connection := self._socket) else set()
        self._reader = asyncio.create_task(self._read(self._client, messages))
        return contract.Connected()

    def _new_client(self, command: contract.Connect) -> aiomqtt.Client:
        is_5, will = command.mqtt == "5.0", command.will
        fields: dict[str, Any] = {"clean_session": command.clean_start}
        if is_5:
            said = properties_of(PacketTypes.CONNECT, command.properties)
            fields = {"clean_start": command.clean_start, "properties": said}
        if will is not None:
            said = properties_of(PacketTypes.WILLMESSAGE, will.properties) if is_5 else None
            fields["will"] = aiomqtt.Will(will.topic, will.payload, will.qos, will.retain, said)
        is_websocket, trusts = command.transport in {"ws", "wss"}, command.ca_file
        return aiomqtt.Client(
            command.host, command.port, **{_IDENTIFIER: command.client_id}, protocol=_VERSIONS[command.mqtt],
            username=command.username, password=command.password,  # type: ignore[arg-type]  # bytes are taken as they are
            transport="websockets" if is_websocket else "tcp", websocket_path=command.path if is_websocket else None,
            tls_context=ssl.create_default_context(cafile=trusts) if trusts else None,
            timeout=_CONNACK_SECONDS, keepalive=command.keep_alive, **fields,
        )  # fmt: skip

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        topics: Any = [(each.topic_filter, self._options(each)) for each in command.subscriptions]
        properties = self._properties(PacketTypes.SUBSCRIBE, command.properties)
        reasons = await self._asked(self._there().subscribe(topics, properties=properties, timeout=math.inf))
        return contract.Subscribed(reasons=tuple(getattr(reason, "value", reason) for reason in reasons))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        properties = self._properties(PacketTypes.UNSUBSCRIBE, command.properties)
        send, filters = self._there().unsubscribe, list(command.topic_filters)
        await self._asked(send(filters, properties=properties, timeout=math.inf))
        return contract.Unsubscribed()

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; whether a 5.0 broker refused it is not told."""
        properties = self._properties(PacketTypes.PUBLISH, command.properties)
        send, said = self._there().publish, (command.topic, command.payload, command.qos, command.retain)
        await self._asked(send(*said, properties=properties, timeout=math.inf))
        return contract.Published()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """What leaving the context does."""
        if command.reason or command.properties != contract.NONE:
            raise Unsuccessful("unsupported", "aiomqtt disconnects without a word")
        client, self._connected = self._there(), False
        await self._asked(client.__aexit__(None, None, None))
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Shut the socket down beneath the client."""
        await self._cut()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Shut the socket down; what it leaves behind in the event loop is not to be in the way of the next client."""
        await self._cut()
        for number in self._sockets:
            self._loop.remove_writer(number)

    async def _cut(self) -> None:
        """Shut the socket down, and wait until the client noticed."""
        was_connected, self._connected = self._connected, False
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            until = self._loop.time() + 1
            while self._socket is not None and self._loop.time() < until:  # noqa: ASYNC110 - until it let go of it
                await asyncio.sleep(0)
        if was_connected and self._reader is not None:
            await asyncio.wait({self._reader}, timeout=1)  # of a loss right behind CONNACK it hears nothing

    @property
    def _socket(self) -> Any:
        """What it is connected by, a socket or what stands for one; None without a connection."""
        paho = self._client and self._client._client  # noqa: SLF001 - there is no public way to its socket
        return paho and paho.socket()

    @property
    def _is_5(self) -> bool:
        return self._made_for is not None and self._made_for.mqtt == "5.0"

    def _there(self) -> aiomqtt.Client:
        if self._client is None or not self._connected:
            raise Unsuccessful("cut-off", "there is no connection")
        return self._client

    def _options(self, wanted: contract.SubscriptionRequest) -> Any:
        if not self._is_5:
            return wanted.qos
        return SubscribeOptions(wanted.qos, wanted.no_local, wanted.retain_as_published, wanted.retain_handling)

    def _properties(self, packet_type: int, values: contract.PropertyValues) -> Any:
        return properties_of(packet_type, values) if self._is_5 else None

    async def _asked(self, call: Any) -> Any:
        asked = asyncio.ensure_future(call)
        assert self._reader is not None
        await asyncio.wait({asked, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            asked.cancel()
            raise Unsuccessful("cut-off")
        try:
            return asked.result()
        except aiomqtt.MqttError as problem:
            raise Unsuccessful("failed" if self._connected else "cut-off", str(problem)) from None

    async def _read(self, client: aiomqtt.Client, messages: Any) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            async for message in messages:
                self.deliver(
                    topic=str(message.topic), payload=bytes(message.payload), qos=message.qos, retain=message.retain,
                    packet_id=message.mid or None,
                    properties=values_of(message.properties) if self._is_5 and message.properties else None,
                )  # fmt: skip
        was_connected, self._connected = self._connected, False
        with contextlib.suppress(aiomqtt.MqttError):  # 1.2 and 2.0 raise the loss once more
            await client.__aexit__(None, None, None)
        if was_connected:
            self.report_loss("network")


ADAPTER = AiomqttAdapter

if __name__ == "__main__":
    main(ADAPTER)
