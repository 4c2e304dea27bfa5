"""The client of amqtt behind the contract.

Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from amqtt.adapters import WebSocketsWriter
from amqtt.client import MQTTClient
from amqtt.errors import AMQTTError, ClientError, ConnectError

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main

_SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}


class AmqttAdapter(Adapter):
    """One client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: MQTTClient | None = None
        self._made_for: contract.Connect | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connected = False

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It shows nothing of CONNACK but a refusal, and acknowledges by itself."""
        return contract.HelloEvent(
            client="amqtt",
            version=version("amqtt"),
            mqtt=("3.1.1",),
            transports=("tcp", "tls", "ws", "wss"),
            unsupported=("manual-ack", "publish-offline"),
        )

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect; again, where a session is to go on and nothing about it is different: that alone keeps it."""
        await self.abandon()
        wanted = command.model_copy(update={"id": 0})
        is_again = wanted == self._made_for and not command.clean_start
        if self._client is None or not is_again:
            self._made_for, self._client = wanted, MQTTClient(command.client_id, _configuration(command))
        client, given = self._client, {"cafile": command.ca_file, "cleansession": command.clean_start}
        try:
            await (client.reconnect() if is_again else client.connect(_address(command), **given))
        except ConnectError as problem:
            raise _unsuccessful(problem) from None
        self._connected = True
        self._reader = asyncio.create_task(self._read(client))
        return contract.Connected()

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        wanted = [(each.topic_filter, each.qos) for each in command.subscriptions]
        return contract.Subscribed(reasons=tuple(await self._asked(self._there().subscribe(wanted))))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        await self._asked(self._there().unsubscribe(list(command.topic_filters)))
        return contract.Unsubscribed()

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message."""
        send, said = self._there().publish, (command.topic, command.payload, command.qos, command.retain)
        await self._asked(send(*said))
        return contract.Published()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:  # noqa: ARG002 - it has no words
        """DISCONNECT."""
        client, self._connected = self._there(), False
        await client.disconnect()
        await self._settled()
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Abort the connection beneath it."""
        await self.abandon()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Abort the connection, and wait until the client noticed."""
        self._connected = False
        writer = getattr(self._client and self._client._handler, "writer", None)  # noqa: SLF001 - there is no public way
        if writer is not None:
            is_websocket = isinstance(writer, WebSocketsWriter)
            connection = writer._protocol if is_websocket else writer._writer  # noqa: SLF001 - `close` says goodbye first
            connection.transport.abort()
        await self._settled()

    # ------------------------------------------------------------------------------------------------------------------

    def _there(self) -> MQTTClient:
        if self._client is None or not self._connected:
            raise Unsuccessful("cut-off", "there is no connection")
        return self._client

    async def _settled(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader

    async def _asked(self, call: Any) -> Any:
        asked, reader = asyncio.ensure_future(call), self._reader
        assert reader is not None
        await asyncio.wait({asked, reader}, return_when=asyncio.FIRST_COMPLETED)
        if not asked.done():
            asked.cancel()
        if asked.cancelled() or not asked.done():
            raise Unsuccessful("cut-off")
        try:
            return asked.result()
        except (AMQTTError, ClientError) as problem:
            raise Unsuccessful("failed" if self._connected else "cut-off", str(problem)) from None

    async def _read(self, client: MQTTClient) -> None:
        with contextlib.suppress(asyncio.CancelledError, AMQTTError):  # or it gives None: each is its word of the end
            while (message := await client.deliver_message()) is not None:
                packet = message.publish_packet
                self.deliver(
                    topic=message.topic, payload=bytes(message.data), qos=message.qos, retain=message.retain,
                    dup=packet.dup_flag if packet else None, packet_id=message.packet_id,
                )  # fmt: skip
        if self._connected:
            self._connected = False
            self.report_loss("network")


def _address(command: contract.Connect) -> str:
    login = "" if command.username is None else quote(command.username, safe="")
    if command.password is not None:
        login += f":{quote(_text(command.password, 'password'), safe='')}"
    at, path = "@" if login else "", command.path if command.transport in {"ws", "wss"} else ""
    host = f"[{command.host}]" if ":" in command.host else command.host
    return f"{_SCHEMES[command.transport]}://{login}{at}{host}:{command.port}{path}"


def _configuration(command: contract.Connect) -> dict[str, Any]:
    made: dict[str, Any] = {"auto_reconnect": False, "reconnect_retries": 0, "connection_timeout": None}
    made |= {"keep_alive": command.keep_alive, "ping_delay": 0}  # what it is asked for is the difference of the two
    if (will := command.will) is not None:
        text = _text(will.payload, "will")
        made["will"] = {"topic": will.topic, "message": text, "qos": will.qos, "retain": will.retain}
    return made


def _text(value: bytes, what: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Unsuccessful("unsupported", f"a {what} has to be text") from None


def _unsuccessful(problem: ConnectError) -> Unsuccessful:
    cause = problem.__cause__ if problem.return_code is None and problem.__cause__ is not None else problem
    code = getattr(cause, "return_code", None)
    if code is not None:
        return Unsuccessful("refused", str(cause), reason=code)
    was_there = not isinstance(cause, OSError) or isinstance(cause, ConnectionResetError)
    return Unsuccessful("cut-off" if was_there else "failed", str(problem))


ADAPTER = AmqttAdapter

if __name__ == "__main__":
    main(ADAPTER)
