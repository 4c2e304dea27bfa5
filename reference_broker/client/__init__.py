"""The client without any I/O: `ClientCore` drives one connection, `Session` is what lasts longer."""

from reference_broker.client.core import ClientCore, Closing, State
from reference_broker.client.events import (
    AuthChallenge,
    Authenticated,
    Cause,
    Connected,
    Disconnected,
    Event,
    Failed,
    Message,
    Published,
    Subscribed,
    Unsubscribed,
)
from reference_broker.client.limits import ServerLimits
from reference_broker.client.options import ClientOptions
from reference_broker.client.session import Session

__all__ = [
    "AuthChallenge",
    "Authenticated",
    "Cause",
    "ClientCore",
    "ClientOptions",
    "Closing",
    "Connected",
    "Disconnected",
    "Event",
    "Failed",
    "Message",
    "Published",
    "ServerLimits",
    "Session",
    "State",
    "Subscribed",
    "Unsubscribed",
]
