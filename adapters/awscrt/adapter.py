"""The 5.0 client of the AWS Common Runtime behind the contract.

Belongs here: the contract's commands in its calls, what its threads bring as events. Does not: mending it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from awscrt import mqtt5
from values import fields, publish_packet, subscription, trust, users, values

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main

_NEVER_MS = 3_600_000


class AwscrtAdapter(Adapter):
    """One client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: mqtt5.Client | None = None
        self._made_for: contract.Connect | None = None
        self._loop = asyncio.get_running_loop()
        self._connected = False
        self._to_ack: dict[int, Any] = {}

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """It forgets what it owes where it is kept from reconnecting by itself; it has neither QoS 2 nor AUTH."""
        return contract.HelloEvent(
            client="awscrt",
            version=version("awscrt"),
            mqtt=("5.0",),
            transports=("tcp", "tls"),
            unsupported=("qos2", "auth", "topic-alias", "refuse-message", "publish-offline", "kept-session"),
        )

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Start; the same client again where nothing about it is different, so that its session resumes."""
        await self.abandon()
        wanted = command.model_copy(update={"id": 0})
        if self._client is None or wanted != self._made_for:
            self.pending.cut_off(everything=True)
            self._made_for, self._client = wanted, self._new_client(command)
        connack = self.pending.expect("connect")
        self._client.start()
        said = await connack
        return contract.Connected(session_present=said.session_present, reason=0, properties=values(said))

    def _new_client(self, command: contract.Connect) -> mqtt5.Client:
        if command.properties.authentication_method is not None:
            raise Unsuccessful("unsupported", "it has no AUTH")
        options_of, will = fields(command.properties), command.will
        aliases = mqtt5.TopicAliasingOptions(
            inbound_behavior=mqtt5.InboundTopicAliasBehaviorType.ENABLED,
            inbound_cache_max_size=options_of.pop("topic_alias_maximum", 0),
        )
        if will is not None:
            options_of["will_delay_interval_sec"] = will.properties.will_delay_interval
            options_of["will"] = publish_packet(will)
        packet = mqtt5.ConnectPacket(
            keep_alive_interval_sec=command.keep_alive, client_id=command.client_id, username=command.username,
            password=command.password, **options_of,
        )  # fmt: skip
        behavior = mqtt5.ClientSessionBehaviorType
        options = mqtt5.ClientOptions(
            host_name=command.host,
            port=command.port,
            connect_options=packet,
            tls_ctx=trust(command.ca_file) if command.ca_file else None,
            session_behavior=behavior.CLEAN if command.clean_start else behavior.REJOIN_ALWAYS,
            topic_aliasing_options=aliases if aliases.inbound_cache_max_size else None,
            min_reconnect_delay_ms=_NEVER_MS,
            max_reconnect_delay_ms=_NEVER_MS,
            connack_timeout_ms=_NEVER_MS,
            ack_timeout_sec=0,
            disable_metrics=True,
            on_publish_callback_fn=self._soon(self._received),
            on_lifecycle_event_connection_success_fn=self._soon(self._came),
            on_lifecycle_event_connection_failure_fn=self._soon(self._refused),
            on_lifecycle_event_disconnection_fn=self._soon(self._lost),
            on_lifecycle_event_stopped_fn=self._soon(lambda _: self.pending.settle("stopped")),
        )
        return mqtt5.Client(options)

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        wanted = [subscription(each) for each in command.subscriptions]
        identifiers = command.properties.subscription_identifier
        packet = mqtt5.SubscribePacket(wanted, identifiers[0] if identifiers else None, users(command.properties))
        ack = await self._asked(self._there().subscribe(packet))
        return contract.Subscribed(reasons=tuple(map(int, ack.reason_codes)), properties=values(ack))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        packet = mqtt5.UnsubscribePacket(list(command.topic_filters), users(command.properties))
        ack = await self._asked(self._there().unsubscribe(packet))
        return contract.Unsubscribed(reasons=tuple(map(int, ack.reason_codes)), properties=values(ack))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; QoS 2 there is not."""
        if command.qos == 2 or command.properties.topic_alias is not None:
            raise Unsuccessful("unsupported", "neither QoS 2 nor aliases of the application's")
        ack = (await self._asked(self._there().publish(publish_packet(command)))).puback
        reason = int(ack.reason_code or 0) if ack is not None else 0
        if reason >= 128:
            raise Unsuccessful("refused", reason=reason, properties=values(ack))
        return contract.Published(reason=reason, properties=values(ack) if ack is not None else None)

    async def ack(self, command: contract.Ack) -> contract.Acked:
        """PUBACK; with success only."""
        if command.reason:
            raise Unsuccessful("unsupported", "it acknowledges with success only")
        self._there().invoke_publish_acknowledgement(self._to_ack.pop(command.message))
        return contract.Acked()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """Stop with a DISCONNECT."""
        self._there()
        reason = mqtt5.DisconnectReasonCode(command.reason)
        await self._stop(mqtt5.DisconnectPacket(reason, **fields(command.properties)))
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Stop without one."""
        await self.abandon()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Stop without a DISCONNECT."""
        await self._stop(None)

    async def _stop(self, packet: mqtt5.DisconnectPacket | None) -> None:
        self._connected = False
        if self._client is not None:
            stopped = self.pending.expect("stopped")
            self._client.stop(packet)
            await asyncio.wait([stopped], timeout=1)
        self.pending.cut_off()

    def _there(self) -> mqtt5.Client:
        if self._client is None or not self._connected:
            raise Unsuccessful("cut-off", "there is no connection")
        return self._client

    async def _asked(self, call: Any) -> Any:
        try:
            return await asyncio.wrap_future(call)
        except Exception as problem:
            raise Unsuccessful("failed" if self._connected else "cut-off", str(problem)) from None

    def _soon(self, callback: Callable[[Any], object]) -> Callable[[Any], None]:
        return lambda data: self._loop.call_soon_threadsafe(callback, self._held(data))

    def _held(self, data: Any) -> Any:
        """Take charge of acknowledging, which is possible only in the library's own thread."""
        if self._made_for and self._made_for.manual_ack and isinstance(data, mqtt5.PublishReceivedData):
            data.handle = data.acquire_publish_acknowledgement_control()
        return data

    # --- what the library brings --------------------------------------------------------------------------------------

    def _came(self, data: Any) -> None:
        self._connected = True
        self.pending.settle("connect", data.connack_packet)

    def _refused(self, data: Any) -> None:
        said, is_there = data.connack_packet, "CONNECTION_REFUSED" not in str(data.exception)
        problem = Unsuccessful("cut-off" if is_there else "failed", str(data.exception))
        if said is not None:
            problem = Unsuccessful("refused", reason=int(said.reason_code), properties=values(said))
        if self.pending.fail("connect", problem) and self._client is not None:
            self._client.stop()

    def _lost(self, data: Any) -> None:
        was_connected, self._connected = self._connected, False
        if was_connected and self._client is not None:
            self._client.stop()  # or it would come back by itself
            said = data.disconnect_packet
            self.report_loss(*(("broker", int(said.reason_code), values(said)) if said else ("network",)))

    def _received(self, data: Any) -> None:
        packet = data.publish_packet
        number = self.deliver(
            topic=packet.topic, payload=packet.payload or b"", qos=int(packet.qos), retain=packet.retain,
            properties=values(packet),
        )  # fmt: skip
        self._to_ack[number] = getattr(data, "handle", None)


ADAPTER = AwscrtAdapter

if __name__ == "__main__":
    main(ADAPTER)
