"""mqttium behind the contract.

Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

import mqttium
from mqttium.api import AsyncClient
from mqttium.packets import AuthPacket
from mqttium.persistence import MemoryInflightStore
from values import answer_to, arguments, connected, properties_of, subscription, unsuccessful, values_of

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main


class MqttiumAdapter(Adapter):
    """One client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: AsyncClient | None = None
        self._old: list[AsyncClient] = []
        self._made_for: contract.Connect | None = None
        self._store = MemoryInflightStore()
        self._reader: asyncio.Task[None] | None = None
        self._gave_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connected = False
        self._to_ack: dict[int, Any] = {}
        self._authentication_data: bytes | None = None

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It tells of a refusal, but not of a success's reason code."""
        return contract.HelloEvent(
            client="mqttium",
            version=version("mqttium"),
            mqtt=("3.1.1", "5.0"),
            transports=("tcp", "tls", "ws", "wss"),
            unsupported=("refuse-message", "disconnect-properties", "subscribe-properties", "publish-offline"),
        )

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect; with the same client where nothing about it is different, else over the same store."""
        await self.drop(contract.Drop(id=0))
        wanted = command.model_copy(update={"id": 0})
        if self._client is None or wanted != self._made_for:
            self.pending.cut_off(everything=True)
            if self._client is not None:
                self._old.append(self._client)
            if self._made_for is None or command.clean_start or self._made_for.client_id != command.client_id:
                self._store = MemoryInflightStore()  # for another session a client is made without the old one
            self._made_for, self._client = wanted, self._new_client(command)
        client, self._gave_up = self._client, asyncio.get_running_loop().create_future()
        attempt = asyncio.ensure_future(connected(client, command))
        await asyncio.wait({attempt, self._gave_up}, return_when=asyncio.FIRST_COMPLETED)
        if not attempt.done():
            problem = client._disconnect_exc  # noqa: SLF001 - it would try again, and is not asked
            attempt.cancel()
            await asyncio.wait({attempt})
            raise unsuccessful(problem)
        try:
            connack = await attempt
        except (mqttium.MQTTError, OSError) as problem:
            raise unsuccessful(problem) from None
        self._connected, self._reader = True, asyncio.ensure_future(self._read(client))
        present, told = connack.session_present, values_of(connack.properties)
        return contract.Connected(session_present=present, reason=0, properties=told)

    def _new_client(self, command: contract.Connect) -> AsyncClient:
        self._authentication_data = command.properties.authentication_data
        authenticate = self._authenticate if command.properties.authentication_method else None
        client = AsyncClient(**arguments(command), store=self._store, auth_handler=authenticate)
        client.on_disconnect = self._lost
        between = client._reconnect  # noqa: SLF001 - there is no word of a failed attempt but what it waits after it
        wait_for_next = between.next_delay
        between.next_delay = lambda: self._note_failure() or wait_for_next()  # type: ignore[method-assign] - as above
        return client

    def _note_failure(self) -> None:
        if not self._gave_up.done():
            self._gave_up.set_result(None)

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        wanted, given = [subscription(each) for each in command.subscriptions], properties_of(command.properties)
        try:
            ack = await self._asked(self._there().subscribe(wanted, properties=given))
        except mqttium.SubscribeError as refused:
            ack = refused.result
        return contract.Subscribed(reasons=ack.reason_codes, properties=values_of(ack.properties))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE; without properties."""
        if command.properties != contract.NONE:
            raise Unsuccessful("unsupported", "UNSUBSCRIBE has no properties here")
        ack = await self._asked(self._there().unsubscribe(list(command.topic_filters)))
        return contract.Unsubscribed(reasons=ack.reason_codes or None, properties=values_of(ack.properties))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; the reason code of a success is not told."""
        given = properties_of(command.properties)
        said, send = (command.topic, command.payload), self._there().publish
        receipt = await self._asked(send(*said, qos=command.qos, retain=command.retain, properties=given))
        try:
            await receipt.wait()
        except mqttium.PublishRejectedError as refused:
            properties = values_of(refused.properties)
            raise Unsuccessful("refused", str(refused), reason=refused.reason_code, properties=properties) from None
        except mqttium.MQTTError as problem:
            raise Unsuccessful("cut-off", str(problem)) from None
        return contract.Published()

    async def ack(self, command: contract.Ack) -> contract.Acked:
        """PUBACK or PUBCOMP; with success only."""
        if command.reason:
            raise Unsuccessful("unsupported")
        await self._asked(self._there().ack(self._to_ack.pop(command.message)))
        return contract.Acked()

    async def auth(self, command: contract.Auth) -> contract.Authenticated:
        """AUTH, until the broker says success."""
        self._authentication_data = command.properties.authentication_data
        done = self.pending.expect("auth")
        await self._asked(self._there().auth(properties=properties_of(command.properties)))
        return contract.Authenticated(properties=values_of((await done).properties))

    def _authenticate(self, asked: AuthPacket) -> AuthPacket | None:
        if asked.reason_code != 0x18:
            self.pending.settle("auth", asked)
            return None
        return answer_to(asked, self._authentication_data)

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """DISCONNECT; without properties."""
        if command.properties != contract.NONE:
            raise Unsuccessful("unsupported", "DISCONNECT has no properties here")
        client, self._connected = self._there(), False
        await client.disconnect(command.reason)
        self.pending.cut_off()
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Abort the connection beneath it, and wait until it noticed."""
        was_connected, self._connected = self._connected, False
        transport = self._client and self._client._transport  # noqa: SLF001 - there is no public way to its socket
        if was_connected and transport is not None:
            noticed = self.pending.expect("noticed")
            transport._writer.transport.abort()  # noqa: SLF001
            await noticed
        self.pending.cut_off()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Abort, and let nothing of it try again."""
        await self.drop(contract.Drop(id=0))
        for client in (*self._old, self._client):
            if client is not None:
                await client.disconnect()

    def _there(self) -> AsyncClient:
        if self._client is None or not self._connected:
            raise Unsuccessful("cut-off", "there is no connection")
        return self._client

    async def _asked(self, call: Any) -> Any:
        try:
            return await call
        except mqttium.SubscribeError:
            raise
        except mqttium.MQTTError as problem:
            raise Unsuccessful("failed" if self._connected else "cut-off", str(problem)) from None

    async def _read(self, client: AsyncClient) -> None:
        async for message in client.messages():
            number = self.deliver(
                topic=message.topic, payload=message.payload, qos=int(message.qos), retain=message.retain,
                dup=message.dup, packet_id=message.mid, properties=values_of(message.properties),
            )  # fmt: skip
            self._to_ack[number] = message

    def _lost(self, problem: BaseException | None) -> None:
        was_connected, self._connected = self._connected, False
        if self.pending.settle("noticed") or not was_connected:
            pass
        elif isinstance(problem, mqttium.BrokerDisconnectError):
            self.report_loss("broker", problem.reason_code, values_of(problem.properties))
        else:
            self.report_loss("network")


ADAPTER = MqttiumAdapter

if __name__ == "__main__":
    main(ADAPTER)
