"""A server written by hand: bytes in hexadecimal go to a ClientCore, what it sends comes back the same way."""

from dataclasses import replace

from reference_broker.client import ClientCore, ClientOptions, Disconnected, Session
from reference_broker.wire.packets import Publish, Subscription
from reference_broker.wire.properties import Properties
from reference_broker.wire.types import QoS, Version

CONNACK = {Version.V31: "20 02 00 00", Version.V311: "20 02 00 00", Version.V5: "20 03 00 00 00"}
CONNACK_SESSION = {Version.V31: "20 02 00 00", Version.V311: "20 02 01 00", Version.V5: "20 03 01 00 00"}
KEPT = {Version.V31: {}, Version.V311: {}, Version.V5: {"properties": Properties(session_expiry_interval=600)}}


class Client:
    """One connection at virtual time `now`; starts at 1000 s."""

    def __init__(self, session=None, *, kept=False, **options):
        version = options.setdefault("version", Version.V5)
        if kept:
            options.setdefault("client_id", "c")
            options["clean_start"] = False
            if version is Version.V5:
                options["properties"] = replace(options.get("properties", Properties()), session_expiry_interval=600)
        self.core = ClientCore(ClientOptions(**options), session)
        self.now = 1000.0
        self.events = []
        self.core.connect(self.now)

    @property
    def session(self) -> Session:
        return self.core.session

    def receive(self, text):
        """The server's bytes arrive; returns what the client answers."""
        self.core.receive_data(bytes.fromhex(text), self.now)
        return self.sent()

    def sent(self):
        self.events += self.core.take_events()
        return self.core.data_to_send().hex(" ")

    def news(self):
        """The events since the last look."""
        self.events += self.core.take_events()
        events, self.events = self.events, []
        return events

    def connected(self, connack=None):
        """Finish the handshake and forget its bytes and news; returns self."""
        version = self.core.options.version
        self.sent()
        self.rest = self.receive(connack or CONNACK[version])
        assert self.core.state == "connected", self.news()
        self.news()
        return self

    def resumed(self):
        return self.connected(CONNACK_SESSION[self.core.options.version])

    def publish(self, payload=b"x", qos=1, topic="t", retain=False, **properties):
        return self.core.publish(
            Publish(topic, payload, QoS(qos), retain, properties=Properties(**properties)), self.now
        )

    def subscribe(self, *filters, qos=0, **properties):
        return self.core.subscribe([Subscription(f, QoS(qos)) for f in filters], self.now, Properties(**properties))

    def wait(self, seconds):
        """Let time pass, doing what is due on the way; returns what is sent with its times."""
        end, sent = self.now + seconds, []
        while (deadline := self.core.next_deadline()) is not None and deadline <= end:
            self.now = max(deadline, self.now)
            self.core.handle_timer(self.now)
            if data := self.sent():
                sent.append((round(self.now - 1000, 3), data))
        self.now = end
        return sent

    def cut(self):
        self.core.connection_lost(self.now)
        return self.news()

    @property
    def end(self) -> Disconnected:
        """The last event, which has to be the end of the connection."""
        events = self.news()
        assert isinstance(events[-1], Disconnected), events
        assert sum(isinstance(event, Disconnected) for event in events) == 1
        return events[-1]


def connected(session=None, **options):
    return Client(session, **options).connected()
