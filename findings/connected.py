"""A connected client of paho-mqtt 2.2.0 for the findings, which keeps what it is told. No finding belongs in here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def properties(kind: int, **values: object) -> Properties:
    """Make the properties of a packet of that kind, named as Paho names them."""
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def wait_until(condition: Callable[[], object], seconds: float = 5) -> bool:
    """Wait for the condition, for so many seconds at most; tell whether it came true."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


class Connected:
    """A client that is connected when it is made; `messages` has what came, until it is taken out.

    `expiry` is the Session Expiry Interval in seconds, for 5.0 only; `clean` is Clean Session or Clean Start.
    """

    def __init__(
        self,
        port: int,
        name: str,
        protocol: int = mqtt.MQTTv311,
        clean: bool = True,
        expiry: int = 0,
        will: dict[str, object] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self._connected, self._subscribed = threading.Event(), threading.Event()
        session = {} if protocol == mqtt.MQTTv5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            name,
            protocol=protocol,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
            **session,
        )
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = lambda _client, _userdata, message: self.messages.append(message)
        if will:
            self.client.will_set(**will)
        start = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, SessionExpiryInterval=expiry)}
        self.client.connect("127.0.0.1", port, **(start if protocol == mqtt.MQTTv5 else {}))
        self.client.loop_start()
        assert self._connected.wait(5)

    def subscribe(self, topic_filter: str, qos: int, **options: object) -> None:
        """Subscribe and wait for the answer."""
        self._subscribed.clear()
        self.client.subscribe(topic_filter, qos, **options)
        assert self._subscribed.wait(5)

    def publish(self, topic: str, payload: str, qos: int, **options: object) -> int:
        """Publish and wait for the acknowledgement; the packet identifier."""
        info = self.client.publish(topic, payload, qos, **options)
        info.wait_for_publish(5)
        return info.mid

    def disconnect(self, **options: object) -> None:
        """Leave with DISCONNECT."""
        self.client.disconnect(**options)
        self.client.loop_stop()

    def cut(self) -> None:
        """End the connection without DISCONNECT, as a network does."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()
