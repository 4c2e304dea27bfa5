"""What can be under test, as the help of every command says it.

Belongs here: the words, without importing what they are about. Does not belong here: the choices themselves
(`drivers.registry`, `brokers.registry`), which a test holds these words against.
"""

from __future__ import annotations

from typing import Final

CLIENT: Final = (
    "client under test: builtin, paho, gmqtt, one of the folder adapters, NAME=command:./adapter, NAME=docker:IMAGE"
)
BROKER: Final = (
    "broker under test: reference, mosquitto, ejabberd, nats, rabbitmq, rumqttd, "
    "one of the folder brokers, host:port, docker:IMAGE"
)
