"""ohmqtt behind the contract.

Belongs here: the contract's commands in its calls, what it tells as events. Does not belong here: mending it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from importlib.metadata import version
from typing import Any

from ohmqtt.client import Client
from ohmqtt.error import MQTTError
from ohmqtt.property import MQTTPublishProps
from values import arguments, properties_of, subscription, values_of

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main


class OhmqttAdapter(Adapter):
    """One client instance; for each connection a thread runs its loop, and looks after each step for what came."""

    def __init__(self, *arguments_: Any) -> None:
        super().__init__(*arguments_)
        self._client = Client()
        self._soon = asyncio.get_running_loop().call_soon_threadsafe
        self._connected = self._is_wanted = False
        self._thread: threading.Thread | None = None
        self._handles: list[Any] = []
        self._filters: set[str] = set()
        self._client_id = ""
        self._last: Any = None

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It shows nothing of CONNACK, acknowledges by itself, and disconnects without a word."""
        return contract.HelloEvent(
            client="ohmqtt",
            version=version("ohmqtt"),
            mqtt=("5.0",),
            transports=("tcp", "tls", "ws", "wss"),
            unsupported=(
                "multiple-filters", "topic-alias", "refuse-message", "manual-ack", "auth", "disconnect-reason",
                "disconnect-properties",
            ),
        )  # fmt: skip

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect; where a session is to begin anew, it shall not subscribe by itself to what the last one had."""
        await self._cut()
        if command.client_id != self._client_id or command.clean_start:
            for topic_filter in self._filters:
                self._client.unsubscribe(topic_filter)
            self._filters.clear()
        self._client_id, self._is_wanted = command.client_id, True
        self._client.connect(**arguments(command))
        came = self.pending.expect("connect")
        self._thread = threading.Thread(target=self._serve, args=(self._client,), daemon=True)
        self._thread.start()
        await came
        return contract.Connected()

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE, for one filter."""
        self._there()
        if len(command.subscriptions) > 1:
            raise Unsuccessful("unsupported", "it sends a SUBSCRIBE for each filter")
        handle = self._client.subscribe(callback=self._received, **subscription(command))
        self._filters.add(command.subscriptions[0].topic_filter)
        ack = await self._answer(handle)
        return contract.Subscribed(reasons=tuple(map(int, ack.reason_codes)), properties=values_of(ack.properties))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE, for one filter that it has subscribed to; without properties."""
        self._there()
        handle = self._client.unsubscribe(command.topic_filters[0])
        if handle is None or len(command.topic_filters) > 1 or command.properties != contract.NONE:
            raise Unsuccessful("unsupported", "it unsubscribes from one filter that it subscribed to, without a word")
        ack = await self._answer(handle)
        self._filters.discard(command.topic_filters[0])
        return contract.Unsubscribed(reasons=tuple(map(int, ack.reason_codes)), properties=values_of(ack.properties))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; of QoS 1 and 2 it keeps what cannot be sent yet."""
        given = properties_of(MQTTPublishProps, command.properties)
        if command.qos == 0:
            self._there()
        said = (command.topic, command.payload)
        handle = self._client.publish(*said, qos=command.qos, retain=command.retain, properties=given)
        if command.qos == 0:
            return contract.Published()
        ack = await self._answer(handle, outlives_connection=True)
        return contract.Published(reason=int(ack.reason_code), properties=values_of(ack.properties))

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """DISCONNECT, without a word."""
        self._there()
        if command.reason or command.properties != contract.NONE:
            raise Unsuccessful("unsupported", "ohmqtt disconnects without a word")
        self._connected = self._is_wanted = False
        self._client.disconnect()
        await self._ended()
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Shut the socket down beneath it."""
        await self._cut()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Shut all of it down, without a DISCONNECT."""
        self._connected = self._is_wanted = False
        self._client.shutdown()
        await self._ended()

    async def _cut(self) -> None:
        self._connected = self._is_wanted = False
        if self._thread is not None:
            try:  # there is no public way to its socket
                self._client.connection.fsm._state_data.sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001
            except OSError:
                self._client.disconnect()  # it is not connected yet
        await self._ended()

    async def _ended(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)
        self.pending.cut_off()

    def _there(self) -> None:
        if not self._connected:
            raise Unsuccessful("cut-off", "there is no connection")

    async def _answer(self, handle: Any, *, outlives_connection: bool = False) -> Any:
        came = self.pending.expect(handle, outlives_connection=outlives_connection)
        self._handles.append(handle)
        self._look()
        return await came

    def _look(self) -> None:
        for handle in [each for each in self._handles if each.ack is not None or each.exc is not None]:
            self._handles.remove(handle)
            if handle.exc is None:
                self.pending.settle(handle, handle.ack)
            elif handle.ack is None:
                self.pending.fail(handle, Unsuccessful("cut-off", str(handle.exc)))
            else:
                said = {"reason": int(handle.ack.reason_code), "properties": values_of(handle.ack.properties)}
                self.pending.fail(handle, Unsuccessful("refused", str(handle.exc), **said))

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _serve(self, client: Client) -> None:
        problem: Exception | None = None
        try:
            if client.loop_until_connected():
                self._soon(self._came)
                while not client.connection.wait_for_disconnect(0):
                    client.loop_once(None)
                    self._soon(self._look)
        except Exception as caught:  # of a connection that did not come about, or its own
            problem = caught
        self._soon(self._went, problem)

    def _received(self, _: Client, packet: Any) -> None:
        if packet is not self._last:  # else it told of it for another subscription that fits
            self._last = packet
            self._soon(self._tell, packet)

    # --- and what it told ---------------------------------------------------------------------------------------------

    def _tell(self, packet: Any) -> None:
        self.deliver(
            topic=packet.topic, payload=packet.payload, qos=int(packet.qos), retain=packet.retain, dup=packet.dup,
            packet_id=packet.packet_id or None, properties=values_of(packet.properties),
        )  # fmt: skip

    def _came(self) -> None:
        self._connected = self._is_wanted
        self.pending.settle("connect")

    def _went(self, problem: Exception | None) -> None:
        if isinstance(problem, MQTTError) and "refused" in str(problem):
            self.pending.fail("connect", Unsuccessful("refused", str(problem), reason=int(problem.reason_code)))
        elif isinstance(problem, ConnectionRefusedError):
            self.pending.fail("connect", Unsuccessful("failed", str(problem)))
        was_connected, self._connected = self._connected, False
        self.pending.cut_off()
        if was_connected:
            self.report_loss(None)


ADAPTER = OhmqttAdapter

if __name__ == "__main__":
    main(ADAPTER)
