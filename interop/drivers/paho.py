"""Eclipse Paho for Python behind the contract, on its network loop for external event loops.

Belongs here: the contract's commands in Paho's public calls, and Paho's callbacks as the contract's events.
Does not belong here: mending what Paho does wrong. Run as `python -m interop.drivers.paho`.

The same `Client` serves all connections of an instance, so that its session state resumes. Only what Paho fixes at
construction makes a new one: version, client id, transport, trust, and Clean Session in 3.x, whose change ends the
state anyway.
"""

from __future__ import annotations

import asyncio
import os
import socket
import traceback
from importlib.metadata import version
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main
from interop.drivers.contract import PropertyValues

_VERSIONS = {
    "3.1": MQTTProtocolVersion.MQTTv31,
    "3.1.1": MQTTProtocolVersion.MQTTv311,
    "5.0": MQTTProtocolVersion.MQTTv5,
}

_RETURN_CODES = {132: 1, 133: 2, 136: 3, 134: 4, 135: 5}
"""Paho shows a 3.x CONNACK return code as the 5.0 reason code of the same meaning; this is the way back."""

_PAHO_NAMES = {
    name: "".join(part.capitalize() for part in name.split("_")).replace("Qos", "QoS")
    for name in PropertyValues.model_fields
}

_MISC_SECONDS = 1.0  # Paho asks for `loop_misc` every few seconds; short keep alives need it more often


class PahoAdapter(Adapter):
    """One Paho client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: Client | None = None
        self._made_for: tuple[Any, ...] = ()
        self._loop = asyncio.get_running_loop()
        self._sock: Any = None
        self._misc: asyncio.TimerHandle | None = None
        self._connected = False
        self._to_ack: dict[int, tuple[int, int]] = {}

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """Paho has no AUTH packet, and does not keep an inbound alias's topic for the application."""
        return contract.HelloEvent(
            client="paho",
            version=version("paho-mqtt"),
            mqtt=("3.1", "3.1.1", "5.0"),
            transports=("tcp", "tls", "ws", "wss"),
            unsupported=("auth", "topic-alias-inbound"),
        )

    # --- commands ---------------------------------------------------------------------------------------------------

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect in a thread, as Paho blocks until TCP, TLS and WebSocket are open; then read and write here."""
        self._unwatch()
        self._connected = False
        self.pending.cut_off()
        client = self._client_for(command)
        self._prepare(client, command)
        v5_only: dict[str, Any] = {}
        if command.mqtt == "5.0":
            v5_only["clean_start"] = command.clean_start
            v5_only["properties"] = _properties(PacketTypes.CONNECT, command.properties)
        await self._open(client, command, v5_only)
        answer = self.pending.expect("connect")
        self._watch(client, min(_MISC_SECONDS, command.keep_alive / 20 or _MISC_SECONDS))
        flags, reason, properties = await answer
        if reason.is_failure:
            code = reason.value if command.mqtt == "5.0" else _RETURN_CODES.get(reason.value)
            raise Unsuccessful("refused", str(reason), reason=code, properties=_values(properties))
        return contract.Connected(
            session_present=flags.session_present, reason=reason.value, properties=_values(properties)
        )

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        client = self._need_client()
        if self._is_5:
            topics: Any = [
                (
                    each.topic_filter,
                    SubscribeOptions(each.qos, each.no_local, each.retain_as_published, each.retain_handling),
                )
                for each in command.subscriptions
            ]
        else:
            topics = [(each.topic_filter, each.qos) for each in command.subscriptions]
        error, number = client.subscribe(topics, properties=self._properties(PacketTypes.SUBSCRIBE, command.properties))
        _check(error)
        reasons, properties = await self.pending.expect(("subscribe", number))
        return contract.Subscribed(reasons=_codes(reasons), properties=_values(properties))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        client = self._need_client()
        properties = self._properties(PacketTypes.UNSUBSCRIBE, command.properties)
        error, number = client.unsubscribe(list(command.topic_filters), properties)
        _check(error)
        reasons, properties = await self.pending.expect(("unsubscribe", number))
        return contract.Unsubscribed(reasons=_codes(reasons), properties=_values(properties))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; `on_publish` is what tells an application that it was delivered."""
        info = self._need_client().publish(
            command.topic,
            command.payload,
            command.qos,
            command.retain,
            self._properties(PacketTypes.PUBLISH, command.properties),
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_NO_CONN or command.qos == 0:
            _check(info.rc)  # at QoS 1 and 2 Paho keeps the message until there is a connection
        key = ("publish", info.mid)
        reason, properties = await self.pending.expect(key, outlives_connection=command.qos > 0)
        if reason.is_failure:
            raise Unsuccessful("refused", str(reason), reason=reason.value, properties=_values(properties))
        return contract.Published(reason=reason.value, properties=_values(properties))

    async def ack(self, command: contract.Ack) -> contract.Acked:
        """Paho's `ack` takes no reason code."""
        if command.reason:
            raise Unsuccessful("unsupported", "Paho acknowledges with success only")
        if command.message not in self._to_ack:
            raise Unsuccessful("failed", f"there is no message {command.message} to acknowledge")
        _check(self._need_client().ack(*self._to_ack.pop(command.message)))
        return contract.Acked()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """DISCONNECT; with nothing to say in its shortest form."""
        client = self._need_client()
        properties = self._properties(PacketTypes.DISCONNECT, command.properties)
        reason = None
        if self._is_5 and (command.reason or properties is not None):
            reason = ReasonCode(PacketTypes.DISCONNECT, identifier=command.reason)
        ended = self.pending.expect("end")
        _check(client.disconnect(reason, properties))
        await ended
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Shut the socket down beneath Paho, and wait until Paho noticed."""
        if self._sock is not None:
            ended = self.pending.expect("end")
            with _same_socket(self._sock) as sock:
                sock.shutdown(socket.SHUT_RDWR)
            await ended
        return contract.Dropped()

    async def abandon(self) -> None:
        """Close the socket beneath Paho and forget the client."""
        sock = self._sock
        self._unwatch()
        self._client = None
        _close(sock)

    # --- the client instance ----------------------------------------------------------------------------------------

    @property
    def _is_5(self) -> bool:
        return self._need_client().protocol == MQTTProtocolVersion.MQTTv5

    def _need_client(self) -> Client:
        if self._client is None:
            raise Unsuccessful("failed", "not connected yet")
        return self._client

    def _client_for(self, command: contract.Connect) -> Client:
        clean_session = None if command.mqtt == "5.0" else command.clean_start
        fixed = (command.mqtt, command.client_id, command.transport, command.ca_file, clean_session)
        if self._client is None or fixed != self._made_for:
            if self._client is not None:
                _close(self._client.socket())
                self.pending.cut_off(everything=True)
            self._made_for = fixed
            self._client = self._new_client(command, clean_session)
        return self._client

    def _new_client(self, command: contract.Connect, clean_session: bool | None) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            command.client_id,
            clean_session,
            protocol=_VERSIONS[command.mqtt],
            transport="websockets" if command.transport in {"ws", "wss"} else "tcp",
            reconnect_on_failure=False,  # also keeps it from falling back to an older version by itself
        )
        if command.transport in {"tls", "wss"}:
            client.tls_set(ca_certs=command.ca_file)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    @staticmethod
    async def _open(client: Client, command: contract.Connect, v5_only: dict[str, Any]) -> None:
        opening = asyncio.ensure_future(
            asyncio.to_thread(client.connect, command.host, command.port, command.keep_alive, **v5_only)
        )
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:  # a reset; the thread cannot be stopped, but what it brings is not wanted
            opening.add_done_callback(lambda _: _close(client.socket()))
            raise

    @staticmethod
    def _prepare(client: Client, command: contract.Connect) -> None:
        password = command.password
        # Typed as text, but bytes are taken as they are.
        client.username_pw_set(command.username, password)  # type: ignore[arg-type]
        client.manual_ack_set(command.manual_ack)
        client.ws_set_options(command.path)
        client.will_clear()
        if (will := command.will) is not None:
            is_5 = command.mqtt == "5.0"
            properties = _properties(PacketTypes.WILLMESSAGE, will.properties) if is_5 else None
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)

    def _properties(self, packet_type: int, values: PropertyValues) -> Properties | None:
        return _properties(packet_type, values) if self._is_5 else None

    # --- the network, in our event loop -----------------------------------------------------------------------------

    def _watch(self, client: Client, misc_seconds: float) -> None:
        self._sock = client.socket()
        if self._sock is None:
            raise Unsuccessful("cut-off", "the connection ended at once")
        with _same_socket(self._sock) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each second packet waits for 40 ms

        def want_write(*_: object) -> None:
            self._loop.add_writer(self._sock, self._run, client.loop_write)

        def want_no_write(*_: object) -> None:
            self._loop.remove_writer(self._sock)

        client.on_socket_close = lambda *_: self._unwatch()
        client.on_socket_register_write = want_write
        client.on_socket_unregister_write = want_no_write
        self._loop.add_reader(self._sock, self._read, client)
        if client.want_write():
            want_write()

        def misc() -> None:
            self._run(client.loop_misc)
            if self._sock is not None:
                self._misc = self._loop.call_later(misc_seconds, misc)

        self._misc = self._loop.call_later(misc_seconds, misc)

    def _unwatch(self) -> None:
        if self._client is not None:  # Paho writes and closes in a thread while it connects
            self._client.on_socket_close = None
            self._client.on_socket_register_write = None
            self._client.on_socket_unregister_write = None
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock = None
        if self._misc is not None:
            self._misc.cancel()

    def _read(self, client: Client) -> None:
        self._run(client.loop_read)
        while (sock := client.socket()) is not None and hasattr(sock, "pending") and sock.pending():
            self._run(client.loop_read)  # TLS took more off the socket than Paho asked for

    def _run(self, step: Any) -> None:
        """Do one step of Paho's loop; an exception ends it, as it ends the loop of any application."""
        try:
            step()
        except Exception:
            self.log(traceback.format_exc())
            sock = self._sock
            self._unwatch()
            _close(sock)
            self._end("client", None, None)

    # --- callbacks --------------------------------------------------------------------------------------------------

    def _on_connect(
        self, _c: Client, _u: Any, flags: ConnectFlags, reason: ReasonCode, props: Properties | None
    ) -> None:
        self._connected = not reason.is_failure
        self.pending.settle("connect", (flags, reason, props))

    def _on_subscribe(self, _c: Client, _u: Any, number: int, reasons: list[ReasonCode], props: Properties) -> None:
        self.pending.settle(("subscribe", number), (reasons, props))

    def _on_unsubscribe(
        self, _c: Client, _u: Any, number: int, reasons: list[ReasonCode], props: Properties | None
    ) -> None:
        self.pending.settle(("unsubscribe", number), (reasons, props))

    def _on_publish(self, _c: Client, _u: Any, number: int, reason: ReasonCode, props: Properties) -> None:
        self.pending.settle(("publish", number), (reason, props))

    def _on_message(self, _c: Client, _u: Any, message: MQTTMessage) -> None:
        number = self.deliver(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            dup=message.dup,
            packet_id=message.mid if message.qos else None,
            properties=_values(message.properties),
        )
        if message.qos:
            self._to_ack[number] = message.mid, message.qos

    def _on_disconnect(
        self, _c: Client, _u: Any, flags: DisconnectFlags, reason: ReasonCode, props: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end("broker", reason.value, _values(props))
        else:  # Paho's own code is its guess; nobody sent one
            self._end("client" if reason.value in {130, 141} else "network", None, None)

    def _end(self, by: Any, reason: int | None, properties: PropertyValues | None) -> None:
        was_connected, self._connected = self._connected, False
        wanted = self.pending.settle("end")
        if was_connected and not wanted:
            self.report_loss(by, reason, properties)
        else:
            self.pending.cut_off()


def _properties(packet_type: int, values: PropertyValues) -> Properties | None:
    present = values.model_dump(exclude_defaults=True)
    if not present:
        return None
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]  # Paho left it untyped
    for name, value in present.items():
        setattr(properties, _PAHO_NAMES[name], list(value) if isinstance(value, tuple) else value)
    return properties


def _values(properties: Properties | None) -> PropertyValues | None:
    if properties is None:
        return None
    present = {name: getattr(properties, paho, None) for name, paho in _PAHO_NAMES.items()}
    return PropertyValues(**{name: value for name, value in present.items() if value is not None})


def _codes(reasons: list[ReasonCode]) -> tuple[int, ...]:
    return tuple(reason.value for reason in reasons)


def _check(error: int) -> None:
    if error == MQTTErrorCode.MQTT_ERR_NO_CONN:
        raise Unsuccessful("cut-off", "there is no connection")
    if error != MQTTErrorCode.MQTT_ERR_SUCCESS:
        raise Unsuccessful("failed", MQTTErrorCode(error).name)


def _same_socket(sock: Any) -> socket.socket:
    """The TCP socket beneath whatever Paho wrapped around it."""
    return socket.socket(fileno=os.dup(sock.fileno()))


def _close(sock: Any) -> None:
    if sock is not None:
        sock.close()


ADAPTER = PahoAdapter

if __name__ == "__main__":
    main(ADAPTER)
