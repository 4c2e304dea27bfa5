"""What an application decides before it connects.

Belongs here: the contents of CONNECT and the client's own policies.
Does not belong here: where the server is (`net`), and what lasts longer than one connection (`session`).
"""

from __future__ import annotations

from dataclasses import dataclass

from reference_broker.wire.packets import Connect, Will
from reference_broker.wire.properties import NO_PROPERTIES, Properties
from reference_broker.wire.types import Version


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to connect; the fields of CONNECT have its names and meaning. [3.1.1 3.1, 5.0 3.1]

    `clean_start` is the Clean Session flag in 3.x. `keep_alive` is in seconds, 0 is off. `properties` go into CONNECT
    as they are: session expiry, receive maximum, maximum packet size, topic alias maximum, authentication method and
    so on; the client then holds itself and the server to them.

    `manual_acknowledgement`: the application acknowledges each QoS 1 and QoS 2 message itself, else it happens as soon
    as the message was handed over. `automatic_topic_aliases`: topics are shortened as far as the server's Topic Alias
    Maximum allows. `ping_timeout_seconds`: how long PINGRESP may take, None is one keep alive.
    `connack_timeout_seconds`: how long the answer to CONNECT may take, authentication included; None is for ever.
    """

    client_id: str = ""
    version: Version = Version.V5
    clean_start: bool = True
    keep_alive: int = 60
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES
    manual_acknowledgement: bool = False
    automatic_topic_aliases: bool = False
    ping_timeout_seconds: float | None = None
    connack_timeout_seconds: float | None = 10.0

    def connect_packet(self, client_id: str) -> Connect:
        """The CONNECT to send, under the identifier that the session goes by."""
        return Connect(
            version=self.version,
            client_id=client_id,
            clean_start=self.clean_start,
            keep_alive=self.keep_alive,
            username=self.username,
            password=self.password,
            will=self.will,
            properties=self.properties,
        )
