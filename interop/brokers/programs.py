"""The programs that can be had as brokers, each with a configuration for loopback, open to anybody, in a fresh folder.

Belongs here: what each is called, how it is configured, which settings of BrokerConfig it has, what it says it lacks.
Does not belong here: starting and stopping (`process`), what each does wrong (`interop.runner.known_failures`).
"""

from __future__ import annotations

import re
import sys
from functools import partial

from interop.brokers.process import HOST, Program, Wish
from reference_broker.net.address import Transport

# --- mosquitto --------------------------------------------------------------------------------------------------------

_MOSQUITTO_SETTINGS = {
    "allow_empty_client_id": "allow_zero_length_clientid",
    "assigned_client_id_prefix": "auto_id_prefix",
    "maximum_connections": "max_connections",
    "maximum_inflight": "max_inflight_messages",
    "maximum_packet_size": "max_packet_size",
    "maximum_qos": "max_qos",
    "queue_maximum_messages": "max_queued_messages",
    "queue_qos0_offline": "queue_qos0_messages",
    "retain_available": "retain_available",
    "topic_alias_maximum": "max_topic_alias",
}
"""Settings of BrokerConfig and what they are called in mosquitto.conf(5)."""


def _configure_mosquitto(wish: Wish) -> None:
    lines = [
        f"listener 0 {wish.folder / 'unused'}",  # 2.0.11 gives up when WebSocket listeners are all it has
        f"listener {wish.port} {HOST}",
        f"protocol {'websockets' if wish.transport.is_websocket else 'mqtt'}",
        "allow_anonymous true",
        "persistence false",
        "log_dest stderr",
        "set_tcp_nodelay true",
        "user root",  # has a meaning for root only: stay who we are, or the certificates cannot be read
    ]
    if wish.certificates is not None:
        lines += [f"certfile {wish.certificates.cert_file}", f"keyfile {wish.certificates.key_file}"]
    for name, value in wish.settings.items():
        lines.append(f"{_MOSQUITTO_SETTINGS[name]} {str(value).lower() if isinstance(value, bool) else value}")
    (wish.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")


MOSQUITTO = Program(
    name="mosquitto",
    executable="mosquitto",
    arguments=("-c", "{folder}/mosquitto.conf"),
    configure=_configure_mosquitto,
    version_arguments=("-h",),
    find_version=re.compile(r"mosquitto version (\S+)"),
    settings=frozenset(_MOSQUITTO_SETTINGS),
    transports=("tcp", "tls", "ws", "wss"),
    unsupported=("auth", "topic-alias-inbound"),  # AUTH needs a plugin; it sets no aliases of its own
)


# --- NATS -------------------------------------------------------------------------------------------------------------


def _configure_nats(wish: Wish) -> None:
    (wish.folder / "nats.conf").write_text(
        "server_name: interop\n"  # MQTT needs one
        f'listen: "{HOST}:-1"\n'  # its own protocol, which nobody speaks here, on a port it finds itself
        f'jetstream {{ store_dir: "{wish.folder / "jetstream"}" }}\n'
        f'mqtt {{ host: "{HOST}", port: {wish.port}, ack_wait: "1s" }}\n'
    )


NATS = Program(
    name="nats",
    executable="nats-server",
    arguments=("-c", "{folder}/nats.conf"),
    configure=_configure_nats,
    version_arguments=("--version",),
    find_version=re.compile(r"nats-server: v(\S+)"),
    versions=("3.1.1",),
    unsupported=("qos2",),  # from 2.10 on it has QoS 2
)

# --- rumqttd ----------------------------------------------------------------------------------------------------------


def _configure_rumqttd(wish: Wish, listener: str) -> None:
    (wish.folder / "rumqttd.toml").write_text(
        f"""id = 0
[router]
id = 0
max_connections = 10000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[{listener}.1]
name = "interop"
listen = "{HOST}:{wish.port}"
next_connection_delay_ms = 0
[{listener}.1.connections]
connection_timeout_ms = 10000
max_payload_size = 268435455
max_inflight_count = 100
dynamic_filters = true
"""
    )


def _rumqttd(name: str, listener: str, mqtt: str) -> Program:
    """It listens for each version at a port of its own, so each version is a broker of its own here."""
    return Program(
        name=name,
        executable="rumqttd",
        arguments=("--quiet", "-c", "{folder}/rumqttd.toml"),
        configure=partial(_configure_rumqttd, listener=listener),
        version_arguments=("--version",),
        find_version=re.compile(r"rumqttd (\S+)"),
        versions=(mqtt,),
        unsupported=("auth",),
    )


RUMQTTD = _rumqttd("rumqttd", "v5", "5.0")
RUMQTTD_311 = _rumqttd("rumqttd-3.1.1", "v4", "3.1.1")

# --- the reference broker, apart from us ------------------------------------------------------------------------------


def _configure_reference(wish: Wish) -> None:
    port = "port" if wish.transport is Transport.TCP else f"{wish.transport}_port"
    lines = ["port = 0", f"{port} = {wish.port}"][wish.transport is Transport.TCP :]
    if wish.certificates is not None:
        lines += [f'cert = "{wish.certificates.cert_file}"', f'key = "{wish.certificates.key_file}"']
    (wish.folder / "broker.toml").write_text("\n".join(lines) + "\n")


REFERENCE_PROCESS = Program(
    name="reference",
    executable=sys.executable,
    arguments=("-m", "reference_broker", "--config", "{folder}/broker.toml"),
    configure=_configure_reference,
    version_arguments=("-m", "interop", "--version"),
    find_version=re.compile(r"mqtt-interop (\S+)"),
    transports=tuple(transport.value for transport in Transport),
)
"""For measuring: in a process of its own, with the event loop it has as a program. Cells of the matrix have another."""
