"""The programs that can be had as brokers, each with a configuration for loopback, open to anybody, in a fresh folder.

Belongs here: what each is called, how it is configured, which settings of BrokerConfig it has, what it says it lacks.
Does not belong here: starting and stopping (`process`), what each does wrong (`interop.runner.known_failures`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from interop.brokers.broker import BrokerNotThere
from interop.brokers.process import HOST, Program, Wish, free_port
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


def _persistence_of_mosquitto(wish: Wish) -> list[str]:
    if not wish.persistent:
        return ["persistence false"]
    return [
        "persistence true",
        f"persistence_location {wish.folder}/",
        "autosave_on_changes true",
        "autosave_interval 1",
    ]


def _configure_mosquitto(wish: Wish) -> None:
    lines = [
        f"listener 0 {wish.folder / 'unused'}",  # 2.0.11 gives up when WebSocket listeners are all it has
        f"listener {wish.port} {HOST}",
        f"protocol {'websockets' if wish.transport.is_websocket else 'mqtt'}",
        "allow_anonymous true",
        *_persistence_of_mosquitto(wish),
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
    # AUTH needs a plugin, and what it saves is a snapshot now and then.
    unsupported=("auth", "crash-persistence"),
    lacks_before={"topic-alias-inbound": "2.1"},
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
    lacks_before={"qos2": "2.10"},
)

# --- ejabberd ---------------------------------------------------------------------------------------------------------

_EJABBERD_SETTINGS = {"topic_alias_maximum": "max_topic_aliases"}
"""Settings of BrokerConfig and the options of mod_mqtt; its `max_queue` is no queue's limit but ends the session."""
_EJABBERD_LIBRARIES = "/usr/lib/*/ejabberd-*/ebin"
_ANYONE = """\
-module(ejabberd_auth_anyone).
-export([start/1, stop/1, reload/1, plain_password_required/1, store_type/1, check_password/4, user_exists/2]).

start(_Host) -> ok.
stop(_Host) -> ok.
reload(_Host) -> ok.
plain_password_required(_Host) -> true.
store_type(_Host) -> external.
check_password(_User, _AuthzId, _Host, _Password) -> {nocache, true}.
user_exists(_User, _Host) -> {nocache, true}.
"""
"""An authentication method of its own: what ejabberd calls anonymous takes each name once at a time."""


def _configure_ejabberd(wish: Wish) -> None:
    libraries = next(iter(sorted(Path("/").glob(_EJABBERD_LIBRARIES[1:]), reverse=True)), None)
    if libraries is None:
        raise BrokerNotThere(f"ejabberd is not installed: there is no {_EJABBERD_LIBRARIES}")
    folder = wish.folder
    (folder / "ejabberd_auth_anyone.erl").write_text(_ANYONE)
    subprocess.run(["erlc", "-o", str(folder), str(folder / "ejabberd_auth_anyone.erl")], check=True, timeout=30)
    options = "".join(f", {_EJABBERD_SETTINGS[name]}: {value}" for name, value in wish.settings.items())
    (folder / "ejabberd.yml").write_text(
        "hosts: [localhost]\n"
        "loglevel: warning\n"
        "auth_method: [anyone]\n"
        "auth_use_cache: false\n"
        f'listen: [{{port: {wish.port}, ip: "{HOST}", module: mod_mqtt, backlog: 1000}}]\n'
        f"modules: {{mod_mqtt: {{match_retained_limit: infinity, max_topic_depth: infinity{options}}}}}\n"
    )
    # Without a node name it needs no port mapper, which would outlive it.
    (folder / "arguments").write_text(
        f"""-noinput +K true
-env ERL_LIBS {libraries.parent.parent}
-env EJABBERD_CONFIG_PATH {folder}/ejabberd.yml
-env EJABBERD_LOG_PATH {folder}/ejabberd.log
-env ERL_CRASH_DUMP_SECONDS 0
-mnesia dir '"{folder}/database"'
-pa {folder}
-s ejabberd
"""
    )


EJABBERD = Program(
    name="ejabberd",
    executable="erl",
    arguments=("-args_file", "{folder}/arguments"),
    configure=_configure_ejabberd,
    version_arguments=(
        "-noshell", "-eval", f'io:format("~p", [filelib:wildcard("{_EJABBERD_LIBRARIES}")]), halt().',
    ),
    find_version=re.compile(r"ejabberd-(\d[\d.]*)"),
    settings=frozenset(_EJABBERD_SETTINGS),
    versions=("3.1.1", "5.0"),
    # 23.01 lets nobody in without a password, sends the next message once the last one is acknowledged, and keeps
    # sessions in the memory of their processes.
    unsupported=(
        "anonymous", "auth", "concurrent-deliveries", "crash-persistence", "persistence", "shared-subscription",
    ),
    login=("interop", "interop"),
)  # fmt: skip

# --- RabbitMQ ---------------------------------------------------------------------------------------------------------

_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: what is on the PATH goes on as another user, with that user's database."""


def _configure_rabbitmq(wish: Wish) -> None:
    folder = wish.folder
    (folder / "rabbitmq.conf").write_text(
        "listeners.tcp = none\n"
        f"mqtt.listeners.tcp.1 = {HOST}:{wish.port}\n"
        "mqtt.listeners.ssl = none\n"
        "mqtt.allow_anonymous = true\n"
        "log.file = false\n"
        "log.console = true\n"
        "log.console.level = warning\n"
    )
    (folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
    settings = {
        "HOME": folder,  # of the cookie
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": free_port(),
        "RABBITMQ_ADVANCED_CONFIG_FILE": folder / "none",
        "RABBITMQ_CONFIG_FILE": folder / "rabbitmq.conf",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_DIST_PORT": free_port(),
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "enabled_plugins",
        "RABBITMQ_FEATURE_FLAGS_FILE": folder / "feature_flags",
        "RABBITMQ_GENERATED_CONFIG_DIR": folder / "generated",
        "RABBITMQ_LOG_BASE": folder / "logs",
        "RABBITMQ_MNESIA_BASE": folder / "database",
        "RABBITMQ_NODENAME": f"interop{wish.port}@localhost",
        "RABBITMQ_PID_FILE": folder / "pid",
    }
    exports = "".join(f'export {name}="{value}"\n' for name, value in settings.items())
    # It needs a port mapper, which is one of its own and ends with its group; as a daemon it would outlive it.
    (folder / "start").write_text(f"{exports}epmd &\nexec {_RABBITMQ}\n")


RABBITMQ = Program(
    name="rabbitmq",
    executable="sh",
    arguments=("{folder}/start",),
    configure=_configure_rabbitmq,
    version_arguments=("-c", "ls /usr/lib/rabbitmq/lib"),
    find_version=re.compile(r"rabbitmq_server-(\S+)"),
    versions=("3.1", "3.1.1"),
    # 3.10 takes QoS 2 for QoS 1; MQTT 5.0 came with 3.13. It keeps its state, but a cell with a restart would last
    # longer than a cell may: a start takes it a quarter of a minute on a quiet machine.
    unsupported=("qos2", "crash-persistence", "persistence"),
    why_not=lambda: "" if _RABBITMQ.exists() else "rabbitmq is not installed (Debian: rabbitmq-server)",
    files=lambda: {_RABBITMQ.name: _RABBITMQ},
    start_seconds=90.0,
    stop_seconds=30.0,
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
        # All it has is in memory. Its router, which serves all clients, panics ("group must exists") when a member of a
        # share whose session is kept leaves with messages in flight, so it is not asked for shares.
        unsupported=("auth", "crash-persistence", "persistence", "shared-subscription"),
        last_words=re.compile(r"thread 'router-\d+' .*panicked"),
    )


RUMQTTD = _rumqttd("rumqttd", "v5", "5.0")
RUMQTTD_311 = _rumqttd("rumqttd-3.1.1", "v4", "3.1.1")

# --- the reference broker, apart from us ------------------------------------------------------------------------------


def _configure_reference(wish: Wish) -> None:
    port = "port" if wish.transport is Transport.TCP else f"{wish.transport}_port"
    lines = ["port = 0", f"{port} = {wish.port}"][wish.transport is Transport.TCP :]
    if wish.certificates is not None:
        lines += [f'cert = "{wish.certificates.cert_file}"', f'key = "{wish.certificates.key_file}"']
    if wish.persistent:
        lines.append(f'store = "{wish.folder / "store.sqlite"}"')
    # numbers, truth and texts are alike in TOML and JSON
    lines += [f"{name} = {json.dumps(value)}" for name, value in wish.settings.items()]
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
