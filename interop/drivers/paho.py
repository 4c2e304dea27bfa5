"""Eclipse Paho for Python behind the contract, on its network loop for external event loops.

Belongs here: the contract's commands in Paho's public calls, and Paho's callbacks as the contract's events.
Does not belong here: mending what Paho does wrong. Run as `python -m interop.drivers.paho`.

The same `Client` serves all connections of an instance, so that its session state resumes. Only what Paho fixes at
construction makes a new one: version, client id, transport, trust, and Clean Session in 3.x, whose change ends the
state anyway. One adapter does for Paho 1.6 and 2: how the first calls back is in `paho_1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paho.mqtt
from paho.mqtt import client as library
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main
from interop.drivers.contract import PropertyValues
from interop.drivers.paho_1 import ASKED, IS_1, LACKS, REFUSALS, reason_code, said_as_in_2
from interop.drivers.paho_loop import PahoLoop

if TYPE_CHECKING:
    from paho.mqtt.client import ConnectFlags, DisconnectFlags
    from paho.mqtt.reasoncodes import ReasonCode

_VERSIONS = {"3.1": library.MQTTv31, "3.1.1": library.MQTTv311, "5.0": library.MQTTv5}

RETURN_CODES = {reason: code for code, reason in REFUSALS.items()}
"""What the broker said in 3.x, by what Paho 2 shows."""

_ALREADY_COMPLETE = 0x92
"""In PUBCOMP: the broker has forgotten the message because it has it; no error when a flow is resumed. [5.0 3.7.2.1]"""

_PAHO_NAMES = {
    name: "".join(part.capitalize() for part in name.split("_")).replace("Qos", "QoS")
    for name in PropertyValues.model_fields
}


class PahoAdapter(Adapter):
    """One Paho client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: Client | None = None
        self._made_for: tuple[Any, ...] = ()
        self._loop = PahoLoop(self.log, lambda: self._end("client", None, None))
        self._connected = False
        self._to_ack: dict[int, tuple[int, int]] = {}

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """Paho has no AUTH packet, and does not keep an inbound alias's topic for the application."""
        return contract.HelloEvent(
            client="paho",
            version=paho.mqtt.__version__,
            mqtt=("3.1", "3.1.1", "5.0"),
            transports=("tcp", "tls", "ws", "wss"),
            unsupported=("auth", "refuse-message", "topic-alias-inbound", *LACKS),
        )

    # --- commands ---------------------------------------------------------------------------------------------------

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect; the same client again, where it can be."""
        self._loop.close()
        self._connected = False
        self.pending.cut_off()
        client = self._client_for(command)
        self._prepare(client, command)
        v5_only: dict[str, Any] = {}
        if command.mqtt == "5.0":
            v5_only["clean_start"] = command.clean_start
            v5_only["properties"] = properties_of(PacketTypes.CONNECT, command.properties)
        await self._loop.connect(client, command.host, command.port, command.keep_alive, **v5_only)
        answer = self.pending.expect("connect")
        if not self._loop.serve(client):
            raise Unsuccessful("cut-off", "the connection ended at once")
        flags, reason, properties = await answer
        if reason.is_failure:
            code = reason.value if command.mqtt == "5.0" else RETURN_CODES.get(reason.value)
            raise Unsuccessful("refused", str(reason), reason=code, properties=self._values(properties))
        present = None if command.mqtt == "3.1" else flags.session_present  # 3.1 has no such flag
        return contract.Connected(session_present=present, reason=reason.value, properties=self._values(properties))

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
        return contract.Subscribed(reasons=_codes(reasons), properties=self._values(properties))

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        client = self._need_client()
        properties = self._properties(PacketTypes.UNSUBSCRIBE, command.properties)
        error, number = client.unsubscribe(list(command.topic_filters), properties)
        _check(error)
        reasons, properties = await self.pending.expect(("unsubscribe", number))
        return contract.Unsubscribed(reasons=_codes(reasons), properties=self._values(properties))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; `on_publish` is what tells an application that it was delivered."""
        info = self._need_client().publish(
            command.topic,
            command.payload,
            command.qos,
            command.retain,
            self._properties(PacketTypes.PUBLISH, command.properties),
        )
        if info.rc != library.MQTT_ERR_NO_CONN or command.qos == 0:
            _check(info.rc)  # at QoS 1 and 2 Paho keeps the message until there is a connection
        key = ("publish", info.mid)
        reason, properties = await self.pending.expect(key, outlives_connection=command.qos > 0)
        if reason.is_failure and reason.value != _ALREADY_COMPLETE:
            raise Unsuccessful("refused", str(reason), reason=reason.value, properties=self._values(properties))
        return contract.Published(reason=reason.value, properties=self._values(properties))

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
            reason = reason_code(PacketTypes.DISCONNECT, identifier=command.reason)
        ended = self.pending.expect("end")
        _check(client.disconnect(reason, properties))
        await ended
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Shut the socket down beneath Paho, and wait until Paho noticed."""
        if self._loop.is_open:
            ended = self.pending.expect("end")
            self._loop.shut_down()
            await ended
        return contract.Dropped()

    async def abandon(self) -> None:
        """Close the socket beneath Paho and forget the client."""
        self._loop.close()
        self._client = None

    # --- the client instance ----------------------------------------------------------------------------------------

    @property
    def _is_5(self) -> bool:
        self._need_client()
        return self._made_for[0] == "5.0"  # type: ignore[no-any-return]

    def _need_client(self) -> Client:
        if self._client is None:
            raise Unsuccessful("failed", "not connected yet")
        return self._client

    def _client_for(self, command: contract.Connect) -> Client:
        clean_session = None if command.mqtt == "5.0" else command.clean_start
        fixed = (command.mqtt, command.client_id, command.transport, command.ca_file, clean_session)
        if self._client is None or fixed != self._made_for:
            if self._client is not None:
                self.pending.cut_off(everything=True)
            self._made_for = fixed
            self._client = self._new_client(command, clean_session)
        return self._client

    def _new_client(self, command: contract.Connect, clean_session: bool | None) -> Client:
        client = Client(
            **ASKED,
            client_id=command.client_id,
            clean_session=clean_session,
            protocol=_VERSIONS[command.mqtt],
            transport="websockets" if command.transport in {"ws", "wss"} else "tcp",
            reconnect_on_failure=False,  # also keeps it from falling back to an older version by itself
        )
        if command.transport in {"tls", "wss"}:
            client.tls_set(ca_certs=command.ca_file)
        for name in ("connect", "subscribe", "unsubscribe", "publish", "message", "disconnect"):
            setattr(client, f"on_{name}", said_as_in_2(name, getattr(self, f"_on_{name}")))
        return client

    @staticmethod
    def _prepare(client: Client, command: contract.Connect) -> None:
        password = command.password
        # Typed as text, but bytes are taken as they are.
        client.username_pw_set(command.username, password)  # type: ignore[arg-type]
        if not IS_1:
            client.manual_ack_set(command.manual_ack)
        client.ws_set_options(command.path)
        client.will_clear()
        if (will := command.will) is not None:
            is_5 = command.mqtt == "5.0"
            properties = properties_of(PacketTypes.WILLMESSAGE, will.properties) if is_5 else None
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)

    def _values(self, properties: Properties | None) -> PropertyValues | None:
        return None if properties is None or not self._is_5 else values_of(properties)

    def _properties(self, packet_type: int, values: PropertyValues) -> Properties | None:
        return properties_of(packet_type, values) if self._is_5 else None

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
            properties=self._values(getattr(message, "properties", None)),  # Paho 1 has none in 3.x
        )
        if message.qos:
            self._to_ack[number] = message.mid, message.qos

    def _on_disconnect(
        self, _c: Client, _u: Any, flags: DisconnectFlags, reason: ReasonCode, props: Properties | None
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._end("broker", reason.value, self._values(props))
        else:  # Paho's own code is its guess; nobody sent one
            self._end("client" if reason.value in {130, 141} else "network", None, None)

    def _end(self, by: Any, reason: int | None, properties: PropertyValues | None) -> None:
        was_connected, self._connected = self._connected, False
        wanted = self.pending.settle("end")
        if was_connected and not wanted:
            self.report_loss(by, reason, properties)
        else:
            self.pending.cut_off()


def values_of(properties: Properties) -> PropertyValues:
    """Paho's properties as the contract has them."""
    present = {name: getattr(properties, paho, None) for name, paho in _PAHO_NAMES.items()}
    return PropertyValues(**{name: value for name, value in present.items() if value is not None})


def properties_of(packet_type: int, values: PropertyValues) -> Properties | None:
    """The contract's properties as Paho takes them; None where there are none."""
    present = values.model_dump(exclude_defaults=True)
    if not present:
        return None
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]  # Paho left it untyped
    for name, value in present.items():
        setattr(properties, _PAHO_NAMES[name], list(value) if isinstance(value, tuple) else value)
    return properties


def _codes(reasons: list[ReasonCode]) -> tuple[int, ...]:
    return tuple(reason.value for reason in reasons)


def _check(error: int) -> None:
    if error == library.MQTT_ERR_NO_CONN:
        raise Unsuccessful("cut-off", "there is no connection")
    if error != library.MQTT_ERR_SUCCESS:
        raise Unsuccessful("failed", library.error_string(error))


ADAPTER = PahoAdapter

if __name__ == "__main__":
    main(ADAPTER)
