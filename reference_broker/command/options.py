"""The options `pub` and `sub` have in common, as users of mosquitto_pub and mosquitto_sub know them.

Belongs here: reading them, and turning them into an address and ClientOptions.
Does not belong here: options of one command (`pub`, `sub`), and doing anything with them (`running`).
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from reference_broker.client import ClientOptions, Session
from reference_broker.command.absent import ABSENT
from reference_broker.net.address import DEFAULT_PORTS, Address, TlsVersion, Transport
from reference_broker.wire.packets import Will
from reference_broker.wire.properties import (
    NEVER_EXPIRES,
    NO_PROPERTIES,
    PROPERTY_BY_NAME,
    WILL,
    Properties,
    PropertyRule,
    PropertyType,
)
from reference_broker.wire.types import PacketType, QoS, Version

"""Session Expiry Interval of a session that does not expire. [5.0 3.1.2.11.2]"""

VERSIONS = {
    **dict.fromkeys(("31", "3.1", "mqttv31"), Version.V31),
    **dict.fromkeys(("311", "3.1.1", "mqttv311"), Version.V311),
    **dict.fromkeys(("5", "5.0", "mqttv5"), Version.V5),
}

_PLACES: dict[str, PacketType | str] = {
    "connect": PacketType.CONNECT,
    "publish": PacketType.PUBLISH,
    "subscribe": PacketType.SUBSCRIBE,
    "unsubscribe": PacketType.UNSUBSCRIBE,
    "disconnect": PacketType.DISCONNECT,
    "will": WILL,
}
_TLS_VERSIONS: dict[str, TlsVersion] = {"tlsv1.2": "1.2", "tlsv1.3": "1.3"}

_TRANSPORTS = {"mqtt": Transport.TCP, "mqtts": Transport.TLS, "ws": Transport.WS, "wss": Transport.WSS}


class UsageError(Exception):
    """Options that make no sense; the text is one line for people."""


class OptionParser(argparse.ArgumentParser):
    """An argument parser that takes `-h` for the host, any value after an option, and `-D` with two or three values."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._with_value: dict[str, str] = {}

    def with_value(self, *flags: str, **settings: Any) -> None:
        """Add an option that takes one value; the last flag is a long one."""
        self.add_argument(*flags, **settings)
        self._with_value.update(dict.fromkeys(flags, flags[-1]))

    def read(self, argv: Sequence[str]) -> argparse.Namespace:
        """The options; raises UsageError."""
        properties: list[tuple[str, str, tuple[str, ...]]] = []
        tokens, joined = list(argv), []
        while tokens:
            token = tokens.pop(0)
            if instead := ABSENT.get(token.partition("=")[0]):
                raise UsageError(f"{token} of mosquitto is not here: {instead}.")
            if token in ("-D", "--property"):
                properties.append(_take_property(tokens))
            elif token in self._with_value and tokens:
                # Joined, so that a value may begin with a dash or be empty.
                joined.append(f"{self._with_value[token]}={tokens.pop(0)}")
            else:
                joined.append(token)
        arguments = self.parse_args(joined)
        arguments.properties = properties
        return arguments

    def error(self, message: str) -> NoReturn:
        """Say it in one line, without the usage."""
        raise UsageError(message)


def _take_property(tokens: list[str]) -> tuple[str, str, tuple[str, ...]]:
    count = 4 if len(tokens) > 1 and tokens[1] == "user-property" else 3
    if len(tokens) < count:
        raise UsageError("-D needs a command, a property and its value, user-property a name and a value")
    command, name, *values = tokens[:count]
    del tokens[:count]
    return command, name, tuple(values)


def add_common_options(parser: OptionParser, topic_help: str) -> None:
    """Add what both commands understand."""
    value = parser.with_value
    value("-h", "--host", metavar="HOST", help="host to connect to (localhost)")
    value("-p", "--port", type=int, metavar="PORT", help="port (1883, TLS 8883, WebSocket 80, secure WebSocket 443)")
    value(
        "-L", "--url", metavar="URL", help="mqtt(s)://[user[:password]@]host[:port]/topic or ws(s)://host[:port]/path"
    )
    value("--unix", type=Path, metavar="FILE", help="connect to a Unix socket instead of -h and -p")
    value("-u", "--username", metavar="NAME", help="user name")
    value("-P", "--pw", metavar="PASSWORD", help="password")
    value("-i", "--id", metavar="ID", help="client identifier (the server's choice, random in 3.1)")
    value("-I", "--id-prefix", metavar="PREFIX", help="client identifier: this and the process id")
    value("-t", "--topic", action="append", default=[], metavar="TOPIC", help=topic_help)
    value("-q", "--qos", type=int, default=0, metavar="QOS", help="quality of service, 0, 1 or 2 (0)")
    value("-V", "--protocol-version", metavar="VERSION", help="31, 311 or 5 (311, with -D 5)")
    value("-k", "--keepalive", type=int, default=60, metavar="SECONDS", help="keep alive, 0 is off (60)")
    parser.add_argument("-c", "--disable-clean-session", action="store_true", help="go on with the session of this -i")
    value("-x", "--session-expiry-interval", metavar="SECONDS", help="how long 5.0 sessions last; -1 does not expire")
    parser.add_argument("-d", "--debug", action="store_true", help="print every packet")
    parser.add_argument("--quiet", action="store_true", help="print no errors")
    value("--will-topic", metavar="TOPIC", help="topic of the will")
    value("--will-payload", metavar="MESSAGE", help="message of the will (empty)")
    value("--will-qos", type=int, default=0, metavar="QOS", help="quality of service of the will (0)")
    parser.add_argument("--will-retain", action="store_true", help="make the will a retained message")
    value("--cafile", type=Path, metavar="FILE", help="CA certificates to trust; turns TLS on")
    value("--capath", type=Path, metavar="FOLDER", help="the same, one a file, named by `openssl rehash FOLDER`")
    parser.add_argument(
        "--tls-use-os-certs", action="store_true", help="trust the system's CA certificates, too; turns TLS on"
    )
    value("--tls-version", metavar="VERSION", help="oldest TLS version: tlsv1.2 or tlsv1.3 (tlsv1.2)")
    value("--tls-alpn", metavar="PROTOCOL", help="protocol to ask for where a TLS port has several")
    value("--cert", type=Path, metavar="FILE", help="this client's certificate, for servers that want one; with --key")
    value("--key", type=Path, metavar="FILE", help="its private key, without a passphrase")
    parser.add_argument("--insecure", action="store_true", help="take a certificate of another host as well; for tests")
    parser.add_argument("--scram", action="store_true", help="prove the password by SCRAM-SHA-256, do not send it")
    parser.add_argument("--tls", action="store_true", help="use TLS and trust the system's CA certificates")
    parser.add_argument("--ws", action="store_true", help="use WebSocket")
    value("--ws-path", default="/mqtt", metavar="PATH", help="path of the WebSocket (/mqtt)")
    parser.add_argument("--nodelay", action="store_true", help="switch Nagle's algorithm off, as it always is here")
    value("--connect-timeout", type=float, default=10.0, metavar="SECONDS", help="how long connecting may take (10)")
    parser.add_argument(
        "-D",
        "--property",
        action="append",
        metavar="COMMAND NAME VALUE",
        help="5.0 property of connect, publish, subscribe, unsubscribe, disconnect or will; again for more",
    )
    parser.add_argument("--help", action="help", help="show this and end")


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """What the common options mean; `properties` are those of each packet, for 5.0."""

    address: Address
    client: ClientOptions
    topics: tuple[str, ...]
    qos: QoS
    connect_timeout_seconds: float
    properties: dict[PacketType | str, Properties]
    debug: bool
    quiet: bool
    scram: tuple[str, str] | None = None
    """User name and password to be proved by SCRAM."""

    def properties_of(self, place: PacketType) -> Properties:
        """The properties to send with one kind of packet."""
        return self.properties.get(place, NO_PROPERTIES)

    def new_session(self) -> Session:
        """A session for this process: with -c the server's is welcome, and this side's is known to be empty."""
        return Session(established=not self.client.clean_start)


def common_options(arguments: argparse.Namespace) -> CommonOptions:
    """Check and combine the common options; raises UsageError."""
    # What only 5.0 has asks for 5.0, as with mosquitto_pub and mosquitto_sub.
    implied = "5" if arguments.properties else "311"
    version = VERSIONS.get(arguments.protocol_version or implied)
    if version is None:
        raise UsageError("Invalid protocol version argument given; expected 31, 311 or 5.")
    properties = _properties(arguments.properties, version)
    _add_session_expiry(arguments, version, properties)
    address, username, password, topic = _where(arguments)
    scram = None
    if arguments.scram:
        if username is None or password is None or version is not Version.V5:
            raise UsageError("--scram needs -V 5, a user name and a password.")
        scram, username, password = (username, password), None, None
    topics = tuple(arguments.topic) + ((topic,) if topic else ())
    client = ClientOptions(
        client_id=_client_id(arguments, version),
        version=version,
        clean_start=not arguments.disable_clean_session,
        keep_alive=arguments.keepalive,
        username=username,
        password=None if password is None else os.fsencode(password),
        will=_will(arguments, properties),
        properties=properties.get(PacketType.CONNECT, NO_PROPERTIES),
        connack_timeout_seconds=arguments.connect_timeout,
    )
    return CommonOptions(
        address=address,
        client=client,
        topics=topics,
        qos=_qos(arguments.qos),
        connect_timeout_seconds=arguments.connect_timeout,
        properties=properties,
        debug=arguments.debug,
        quiet=arguments.quiet,
        scram=scram,
    )


def _qos(value: int) -> QoS:
    if value not in (0, 1, 2):
        raise UsageError(f"Invalid QoS given: {value}")
    return QoS(value)


def _where(arguments: argparse.Namespace) -> tuple[Address, str | None, str | None, str]:
    """Address, user name, password, and the topic a URL may have."""
    parts = urlsplit(arguments.url or "")
    transport = _TRANSPORTS.get(parts.scheme)
    if arguments.url is None:
        authorities = arguments.cafile or arguments.capath or arguments.tls_use_os_certs
        encrypted = arguments.tls or authorities
        transport = _TRANSPORTS[("ws" if arguments.ws else "mqtt") + ("s" if encrypted else "")]
    elif transport is None or not parts.hostname:
        raise UsageError("Unsupported URL; expected mqtt://, mqtts://, ws:// or wss:// and a host.")
    _check_tls(arguments, transport)
    if arguments.unix is not None and (arguments.url or arguments.host or arguments.port is not None):
        raise UsageError("--unix takes the place of -h, -p and -L.")
    path = parts.path if transport.is_websocket and parts.path not in ("", "/") else arguments.ws_path
    topic = "" if transport.is_websocket else unquote(parts.path.removeprefix("/"))
    try:
        port = arguments.port if arguments.port is not None else _port_of(parts)
        if port is None:
            port = DEFAULT_PORTS[transport]
        host = parts.hostname or arguments.host or "localhost"
        address = Address(
            host,
            port,
            transport,
            path=path,
            ca_file=arguments.cafile,
            cert_file=arguments.cert,
            key_file=arguments.key,
            check_host_name=not arguments.insecure,
            ca_folder=arguments.capath,
            trusts_system=arguments.tls_use_os_certs,
            tls_minimum=_tls_minimum(arguments.tls_version),
            alpn=arguments.tls_alpn,
            unix_socket=arguments.unix,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    username = arguments.username if parts.username is None else unquote(parts.username)
    password = arguments.pw if parts.password is None else unquote(parts.password)
    return address, username, password, topic


def _port_of(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:  # its text may be of a password
        raise ValueError("no usable port in the URL; in a password, / ? # are percent-encoded") from None


def _check_tls(arguments: argparse.Namespace, transport: Transport) -> None:
    if (arguments.cert is None) != (arguments.key is None):
        raise UsageError("Both --cert and --key must be given if one of them is.")
    given = {
        "--cafile": arguments.cafile,
        "--capath": arguments.capath,
        "--cert": arguments.cert,
        "--insecure": arguments.insecure,
        "--tls-alpn": arguments.tls_alpn,
        "--tls-use-os-certs": arguments.tls_use_os_certs,
        "--tls-version": arguments.tls_version,
    }
    for option, value in given.items():
        if value and not transport.is_encrypted:
            raise UsageError(f"{option} is of no use without TLS: give --cafile, --tls, or a mqtts:// or wss:// URL.")


def _tls_minimum(text: str | None) -> TlsVersion:
    if text is None:
        return "1.2"
    if text not in _TLS_VERSIONS:  # older ones are withdrawn [RFC 8996]
        raise UsageError(f"Invalid TLS version {text!r}; expected {' or '.join(_TLS_VERSIONS)}.")
    return _TLS_VERSIONS[text]


def _client_id(arguments: argparse.Namespace, version: Version) -> str:
    if arguments.id is not None and arguments.id_prefix is not None:
        raise UsageError("-i and -I argument cannot be used together.")
    if arguments.id_prefix is not None:
        return f"{arguments.id_prefix}{os.getpid()}"
    if arguments.id:
        chosen: str = arguments.id
        return chosen
    if arguments.disable_clean_session:
        raise UsageError("You must provide a client id if you are using the -c option.")
    # 3.1 wants 1 to 23 characters; later versions let the server choose. [3.1 MQTT31-5]
    return f"interop-{secrets.token_hex(6)}" if version is Version.V31 else ""


def _will(arguments: argparse.Namespace, properties: dict[PacketType | str, Properties]) -> Will | None:
    if arguments.will_topic is None:
        if arguments.will_payload is not None or arguments.will_qos or arguments.will_retain:
            raise UsageError("Will options given, but no will topic given.")
        return None
    payload = os.fsencode(arguments.will_payload or "")
    will_properties = properties.get(WILL, NO_PROPERTIES)
    return Will(arguments.will_topic, payload, _qos(arguments.will_qos), arguments.will_retain, will_properties)


def _add_session_expiry(
    arguments: argparse.Namespace, version: Version, properties: dict[PacketType | str, Properties]
) -> None:
    """-x, or what -c means in 5.0: the session does not expire."""
    text = arguments.session_expiry_interval
    if version < Version.V5:
        return
    connect = properties.get(PacketType.CONNECT, NO_PROPERTIES)
    if text is None:
        if not arguments.disable_clean_session or connect.session_expiry_interval is not None:
            return
        interval = NEVER_EXPIRES
    elif connect.session_expiry_interval is not None:
        raise UsageError("session-expiry-interval is given twice, by -x and -D.")
    elif text in ("-1", "∞"):
        interval = NEVER_EXPIRES
    elif text.isdecimal() and int(text) <= NEVER_EXPIRES:
        interval = int(text)
    else:
        raise UsageError("session-expiry-interval out of range.")
    properties[PacketType.CONNECT] = replace(connect, session_expiry_interval=interval)


def _properties(given: list[tuple[str, str, tuple[str, ...]]], version: Version) -> dict[PacketType | str, Properties]:
    properties: dict[PacketType | str, Properties] = {}
    if given and version < Version.V5:
        raise UsageError("-D needs -V 5: only MQTT 5.0 has properties.")
    for command, name, values in given:
        place = _PLACES.get(command)
        if place is None:
            raise UsageError(f"Invalid command {command!r} in -D; expected one of {', '.join(_PLACES)}.")
        field = name.replace("-", "_")
        rule = PROPERTY_BY_NAME.get(field)
        if rule is None:
            raise UsageError(f"Invalid property name {name!r} in -D.")
        if place not in rule.places:
            raise UsageError(f"{name} property not allowed for {command} in -D.")
        properties[place] = _with_property(properties.get(place, NO_PROPERTIES), rule, place, values)
    return properties


def _with_property(
    properties: Properties, rule: PropertyRule, place: PacketType | str, values: tuple[str, ...]
) -> Properties:
    value = _property_value(rule, values)
    held = getattr(properties, rule.name)
    if held not in (None, ()) and place not in rule.repeatable:
        raise UsageError(f"{rule.name.replace('_', '-')} is given twice in -D.")
    changes: dict[str, Any] = {rule.name: (*held, value) if isinstance(held, tuple) else value}
    return replace(properties, **changes)


def _property_value(rule: PropertyRule, values: tuple[str, ...]) -> object:
    if rule.type is PropertyType.UTF8_STRING_PAIR:
        return values
    if rule.type is PropertyType.UTF8_STRING:
        return values[0]
    if rule.type is PropertyType.BINARY_DATA:
        return os.fsencode(values[0])
    if not values[0].isdecimal():
        raise UsageError(f"{rule.name.replace('_', '-')} in -D is a number, not {values[0]!r}.")
    return int(values[0])
