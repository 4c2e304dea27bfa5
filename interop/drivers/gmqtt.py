"""gmqtt behind the contract.

Belongs here: the contract's commands in gmqtt's calls, and its callbacks as the contract's events.
Does not belong here: mending what gmqtt does wrong. Run as `python -m interop.drivers.gmqtt`.

What an application can see of gmqtt: CONNACK, SUBACK and UNSUBACK by callbacks; the end of a publish only through the
storage it may bring (`persistent_storage`), without a reason code; the end of a connection, with the bytes of the
broker's DISCONNECT if there was one. It sees no packet identifier, and no CONNACK property that CONNECT had as well.
One adapter does for 0.6, 0.7 and 0.8.

The same `Client` serves all connections of an instance, as its session state lives in it. What gmqtt takes only at
construction (clean session, will, properties) is set on it again before each connection; there is no public way to.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import gmqtt
from gmqtt import Client, Message, Subscription
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError

from interop.drivers import contract
from interop.drivers.adapter import Adapter, Unsuccessful, main
from interop.drivers.contract import PropertyValues
from interop.drivers.gmqtt_storage import WatchedStorage

NEVER_RECONNECT = -2
"""As `reconnect_retries`: -1 is for ever, and 0 still comes back once."""

_VERSIONS = {"3.1.1": MQTTv311, "5.0": MQTTv50}

_GMQTT_NAMES = {
    "payload_format_indicator": "payload_format_id",
    "authentication_method": "auth_method",
    "request_problem_information": "request_problem_info",
    "request_response_information": "request_response_info",
    "response_information": "response_info",
    "maximum_qos": "max_qos",
    "subscription_identifier_available": "sub_id_available",
}
"""The properties that gmqtt calls otherwise than the specification. It knows no `authentication_data`."""

_OUR_NAMES = {theirs: ours for ours, theirs in _GMQTT_NAMES.items()}
_REPEATABLE = {"subscription_identifier", "user_property"}


class GmqttAdapter(Adapter):
    """One gmqtt client instance."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._client: Client | None = None
        self._made_for: tuple[Any, ...] = ()
        self._storage = WatchedStorage(self.pending)
        self._is_5 = False
        self._state = "closed"  # or connecting, open
        self._asked: frozenset[str] = frozenset()
        self._acks: dict[int, asyncio.Future[int]] = {}

    @classmethod
    def hello(cls) -> contract.HelloEvent:
        """gmqtt replaces an empty client id by one it makes up, and has no AUTH."""
        return contract.HelloEvent(
            client="gmqtt",
            version=gmqtt.__version__,
            mqtt=("3.1.1", "5.0"),
            transports=("tcp", "tls"),
            unsupported=("auth", "empty-client-id", "reason-codes", "refuse-message"),
        )

    # --- commands ---------------------------------------------------------------------------------------------------

    async def connect(self, command: contract.Connect) -> contract.Connected:
        """Connect; gmqtt itself would wait for a CONNACK that can no longer come."""
        if command.mqtt not in _VERSIONS:
            raise Unsuccessful("unsupported", f"gmqtt does not speak MQTT {command.mqtt}")
        if not command.client_id:
            raise Unsuccessful("unsupported", "gmqtt replaces an empty client id")
        await self._cut()
        self._is_5 = command.mqtt == "5.0"
        client = self._client_for(command)
        tls = ssl.create_default_context(cafile=command.ca_file) if command.transport == "tls" else False
        self._state = "connecting"
        answer = self.pending.expect("connect")
        connecting = asyncio.ensure_future(
            client.connect(command.host, command.port, tls, command.keep_alive, _VERSIONS[command.mqtt])
        )
        try:
            await asyncio.wait({connecting, answer}, return_when=asyncio.FIRST_COMPLETED)
            if self._state != "open":
                await _settle_down(connecting)
                if connecting.done():
                    connecting.result()  # raises the refusal, or why there is no network connection
            session_present, reason, properties = await answer
        except MQTTConnectError as refusal:
            code = refusal._code  # noqa: SLF001 - otherwise it is in the text only
            raise Unsuccessful("refused", str(refusal), reason=code) from None
        finally:
            if self._state != "open":
                self._state = "closed"
                connecting.cancel()
            connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
        return contract.Connected(session_present=bool(session_present), reason=reason, properties=properties)

    async def subscribe(self, command: contract.Subscribe) -> contract.Subscribed:
        """One SUBSCRIBE."""
        subscriptions = [
            Subscription(each.topic_filter, each.qos, each.no_local, each.retain_as_published, each.retain_handling)
            for each in command.subscriptions
        ]
        number = self._connected().subscribe(subscriptions, **_kwargs(command.properties))
        reasons, properties = await self.pending.expect(("subscribe", number))
        return contract.Subscribed(reasons=tuple(reasons), properties=properties)

    async def unsubscribe(self, command: contract.Unsubscribe) -> contract.Unsubscribed:
        """One UNSUBSCRIBE."""
        number = self._connected().unsubscribe(list(command.topic_filters), **_kwargs(command.properties))
        reasons = await self.pending.expect(("unsubscribe", number))
        return contract.Unsubscribed(reasons=tuple(reasons))

    async def publish(self, command: contract.Publish) -> contract.Published:
        """One message; at QoS 1 and 2 its end is that gmqtt forgets it, whatever the broker said."""
        if self._client is None:
            raise Unsuccessful("failed", "not connected yet")
        if command.qos == 0:
            self._connected()
        # Not as a Message: of one, gmqtt before 0.8 keeps nothing until it is acknowledged.
        self._client.publish(command.topic, command.payload, command.qos, command.retain, **_kwargs(command.properties))
        if command.qos:
            await self.pending.expect(("publish", self._storage.last_stored), outlives_connection=True)
        return contract.Published()

    async def ack(self, command: contract.Ack) -> contract.Acked:
        """End the `on_message` coroutine, which makes gmqtt acknowledge."""
        acknowledged = self._acks.pop(command.message, None)
        if acknowledged is None or acknowledged.done():
            raise Unsuccessful("failed", f"there is no message {command.message} to acknowledge")
        acknowledged.set_result(command.reason)
        return contract.Acked()

    async def disconnect(self, command: contract.Disconnect) -> contract.Disconnected:
        """DISCONNECT, then the end of the connection."""
        client = self._connected()
        self._state = "closed"
        await client.disconnect(command.reason, **_kwargs(command.properties))
        return contract.Disconnected(by="client")

    async def drop(self, command: contract.Drop) -> contract.Dropped:  # noqa: ARG002 - it has no arguments
        """Abort the transport."""
        await self._cut()
        return contract.Dropped()

    async def abandon(self) -> None:
        """Abort the transport and forget the client; gmqtt keeps nothing outside of it."""
        await self._cut()
        if resending := getattr(self._client, "_resend_task", None):  # of 0.6, for ever
            resending.cancel()
        self._client = None

    # --- the client instance ----------------------------------------------------------------------------------------

    def _connected(self) -> Client:
        if self._client is None or self._state != "open":
            raise Unsuccessful("cut-off", "there is no connection")
        return self._client

    async def _cut(self) -> None:
        """Abort the transport, and wait until gmqtt noticed, or it would take the next connection for lost."""
        self._state = "closed"
        self.pending.cut_off()
        if self._client is None:
            return
        connection = self._client._connection  # noqa: SLF001 - no public way leads round DISCONNECT
        if connection is not None and not connection._protocol.closed.done():  # noqa: SLF001
            connection._transport.abort()  # noqa: SLF001
            await asyncio.wait({connection._protocol.closed})  # noqa: SLF001

    def _client_for(self, command: contract.Connect) -> Client:
        fixed = (command.client_id, command.manual_ack)
        if self._client is None or self._made_for != fixed:
            self.pending.cut_off(everything=True)
            self._storage = WatchedStorage(self.pending)
            self._client = self._new_client(command)
            self._made_for = fixed
        client = self._client
        client._clean_session = command.clean_start  # noqa: SLF001 - see the module
        client._will_message = _will(command.will)  # noqa: SLF001
        client._connect_properties.clear()  # noqa: SLF001
        client._connect_properties.update(_kwargs(command.properties))  # noqa: SLF001
        client._username = client._password = None  # noqa: SLF001 - once set they cannot be taken back
        if command.username is not None:
            client.set_auth_credentials(command.username, command.password)
        self._asked = frozenset(command.properties.model_dump(exclude_defaults=True))
        return client

    def _new_client(self, command: contract.Connect) -> Client:
        client = Client(
            command.client_id,
            persistent_storage=self._storage,
            optimistic_acknowledgement=not command.manual_ack,
        )
        client.set_config({"reconnect_retries": NEVER_RECONNECT})
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_message = self._on_message_to_ack if command.manual_ack else self._on_message
        client.on_disconnect = self._on_disconnect
        return client

    # --- callbacks --------------------------------------------------------------------------------------------------

    def _on_connect(self, _client: Client, session_present: int, reason: int, properties: dict[str, Any]) -> None:
        self._state = "open"
        seen = self._values(
            {name: each for name, each in properties.items() if _OUR_NAMES.get(name, name) not in self._asked}
        )
        self.pending.settle("connect", (session_present, reason, seen))

    def _on_subscribe(self, _client: Client, number: int, reasons: tuple[int, ...], properties: dict[str, Any]) -> None:
        self.pending.settle(("subscribe", number), (reasons, self._values(properties)))

    def _on_unsubscribe(self, _client: Client, number: int, reasons: tuple[int, ...]) -> None:
        self.pending.settle(("unsubscribe", number), reasons)

    def _on_message(self, _client: Client, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
        seen = dict(properties)
        return self.deliver(
            topic=topic,
            payload=bytes(payload),
            qos=qos,
            dup=bool(seen.pop("dup")),
            retain=bool(seen.pop("retain")),
            properties=self._values(seen),
        )

    async def _on_message_to_ack(
        self, client: Client, topic: str, payload: bytes, qos: int, properties: dict[str, Any]
    ) -> int:
        number = self._on_message(client, topic, payload, qos, properties)
        if qos == 0:
            return 0
        self._acks[number] = asyncio.get_running_loop().create_future()
        return await self._acks[number]

    def _on_disconnect(self, _client: Client, packet: bytes, _error: Exception | None = None) -> None:
        was, self._state = self._state, "closed"
        if was != "open":
            self.pending.cut_off()
        elif packet:
            self.report_loss("broker", packet[0])
        else:  # the network, or a DISCONNECT without a word
            self.report_loss(None)

    def _values(self, properties: dict[str, Any]) -> PropertyValues | None:
        if not self._is_5:
            return None
        values = {_OUR_NAMES.get(name, name): each for name, each in properties.items()}
        return PropertyValues(**{name: each if name in _REPEATABLE else each[0] for name, each in values.items()})


async def _settle_down(connecting: asyncio.Future[None]) -> None:
    """Give a refusal the few turns of the loop it takes from the end of the connection to the exception."""
    for _ in range(10):
        if not connecting.done():
            await asyncio.sleep(0)


def _kwargs(values: PropertyValues) -> dict[str, Any]:
    present = values.model_dump(exclude_defaults=True)
    if "authentication_data" in present:
        raise Unsuccessful("unsupported", "gmqtt knows no authentication data")
    if "subscription_identifier" in present:
        present["subscription_identifier"] = present["subscription_identifier"][0]
    return {_GMQTT_NAMES.get(name, name): each for name, each in present.items()}


def _will(will: contract.WillMessage | None) -> Message | None:
    if will is None:
        return None
    return Message(will.topic, will.payload, will.qos, will.retain, **_kwargs(will.properties))


ADAPTER = GmqttAdapter

if __name__ == "__main__":
    main(ADAPTER)
