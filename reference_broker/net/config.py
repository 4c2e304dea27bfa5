"""What a broker on the network needs to know, and reading it from a TOML file.

Belongs here: listeners, certificates and the file's form; every key is a field of `ServerConfig` or `BrokerConfig`.
Does not belong here: what a limit means (`broker.config`), command line options (`command.broker`).
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Address, Transport


class ConfigError(ValueError):
    """A setting that cannot be; the text names the file, the key and what is allowed."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a broker listens and how it behaves; a port of None means no such listener, 0 lets the system pick one."""

    host: str = "127.0.0.1"
    """Where every port listens: a name or an address of this machine."""
    port: int | None = 1883
    """MQTT on TCP."""
    unix: Path | None = None
    """File of a Unix socket, on which MQTT is served in the place of `port`; the folder's permissions say to whom."""
    tls_port: int | None = None
    """MQTT on TLS."""
    ws_port: int | None = None
    """MQTT on WebSocket."""
    wss_port: int | None = None
    """MQTT on secure WebSocket."""
    cert: Path | None = None
    """PEM file of the server's certificate chain; `tls_port` and `wss_port` need it and `key`."""
    key: Path | None = None
    """PEM file of the certificate's private key."""
    ca: Path | None = None
    """PEM file clients verify the certificate by; only handed on in the addresses the server tells."""
    store: Path | None = None
    """File that keeps sessions and retained messages over restarts; None keeps them in memory only."""
    memory_maximum_bytes: int | None = 8 * 1024 * 1024 * 1024
    """Memory of the process; past it CONNECT, SUBSCRIBE and PUBLISH are refused with 0x97, in 3.x as far as it can."""
    tcp_keepalive_seconds: int | None = 120
    """After so long it is noticed that a silent client's machine is gone, whatever its keep alive; None for never."""
    broker: BrokerConfig = dataclasses.field(default_factory=BrokerConfig)

    def __post_init__(self) -> None:
        if not self.listeners():
            raise ConfigError("the broker would listen nowhere: every port is off")
        for name in ("memory_maximum_bytes", "tcp_keepalive_seconds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} = {value} is less than 1")
        # Those of its own: whoever extends it has certificates for others.
        encrypted = next((each for each in ServerConfig.listeners(self) if each.transport.is_encrypted), None)
        if encrypted is not None and (self.cert is None or self.key is None):
            raise ConfigError(f"{encrypted.transport}_port needs a certificate and its key (cert and key)")
        for address in self.listeners():
            if not address.is_loopback and self.lets_anybody_in(address):
                raise ConfigError(
                    f"{address.host_and_port} would let in anybody who can reach it: give users (--password-file FILE),"
                    " or say that it is meant: --allow-anonymous (in a file: allow_anonymous = true)"
                )

    def lets_anybody_in(self, _address: Address) -> bool:
        """Whether no proof is wanted there, and nobody said so in words."""
        return self.broker.users is None and not self.broker.allow_anonymous

    def listeners(self) -> list[Address]:
        """The addresses to listen on; raises ConfigError for a port that is none."""
        try:
            on_network = [
                Address(self.host, port, transport, ca_file=self.ca if transport.is_encrypted else None)
                for transport, port in self._ports().items()
                if port is not None
            ]
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return on_network if self.unix is None else [Address("localhost", 0, unix_socket=self.unix), *on_network]

    def _ports(self) -> dict[Transport, int | None]:
        return {
            Transport.TCP: self.port if self.unix is None else None,
            Transport.TLS: self.tls_port,
            Transport.WS: self.ws_port,
            Transport.WSS: self.wss_port,
        }


Config = TypeVar("Config", bound=ServerConfig)


def load_settings(file: Path, kind: type[ServerConfig] = ServerConfig) -> dict[str, Any]:
    """Read a TOML file into checked values by key, as `make_config` takes them; raises ConfigError.

    Keys are the fields of ServerConfig, or the `kind` of it, and BrokerConfig, side by side; file names are relative to
    the file's folder.
    """
    try:
        with file.open("rb") as stream:
            raw = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    try:
        settings = _read_fields(raw, setting_types(kind), "")
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    return {key: _anchored(value, file.parent) for key, value in settings.items()}


def _anchored(value: Any, folder: Path) -> Any:
    """A value whose file names, also within, begin at a folder."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_anchored(each, folder) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: _anchored(getattr(value, name), folder) for name in names})
    return value


def make_config(settings: Mapping[str, Any], kind: type[Config] = ServerConfig) -> Config:  # type: ignore[assignment]
    """Sort checked values into a ServerConfig; raises ConfigError when they make no sense together."""
    own = {field.name for field in dataclasses.fields(kind)}
    try:
        broker = BrokerConfig(**{key: value for key, value in settings.items() if key not in own})
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return kind(broker=broker, **{key: value for key, value in settings.items() if key in own})


def setting_types(kind: type[ServerConfig] = ServerConfig) -> dict[str, Any]:
    """Every setting's name and type."""
    server = typing.get_type_hints(kind)
    del server["broker"]
    return server | typing.get_type_hints(BrokerConfig)


_GONE = {
    "store_interval_seconds": "everything is kept before it is answered now, so there is no interval: remove this key"
}
"""Settings that there were, and what became of them: whoever relied on one has to know."""


# Reading values by the types of the fields they are for.


def _read_fields(raw: Mapping[str, Any], hints: Mapping[str, Any], where: str) -> dict[str, Any]:
    for key in raw:
        if key in _GONE:
            raise ConfigError(f"{where + key}: {_GONE[key]}")
        if key not in hints:
            raise ConfigError(f"unknown key {where + key!r}{_suggest(key, hints)}")
    return {key: _read(value, hints[key], where + key) for key, value in raw.items()}


def _suggest(key: str, allowed: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key.replace("-", "_"), allowed, n=1, cutoff=0.5)
    did_you_mean = f", did you mean {close[0]!r}?" if close else ";"
    return f"{did_you_mean} allowed are {', '.join(sorted(allowed))}"


def _read(value: Any, hint: Any, where: str) -> Any:
    """Make `value`, as TOML gave it, into the type of a field."""
    arms = _arms(hint)
    if len(arms) < len(typing.get_args(hint)):  # X | None: TOML has no null, the key is left out instead
        hint = arms[0]
    origin = typing.get_origin(hint) or hint
    for kind, reader in _READERS.items():
        if isinstance(origin, type) and issubclass(origin, kind):
            return reader(value, hint, where)
    if dataclasses.is_dataclass(origin):
        return _read_dataclass(value, origin, where)
    raise TypeError(f"no reader for {hint}")


def _arms(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        return [arm for arm in typing.get_args(hint) if arm is not types.NoneType]
    return [hint]


def _read_dataclass(value: Any, cls: Any, where: str) -> Any:
    fields = _read_fields(_expect(value, dict, "a table", where), typing.get_type_hints(cls), f"{where}.")
    for field in dataclasses.fields(cls):
        if field.default is dataclasses.MISSING and field.name not in fields:
            raise ConfigError(f"{where} lacks the key {field.name!r}")
    try:
        return cls(**fields)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read_tuple(value: Any, hint: Any, where: str) -> tuple[Any, ...]:
    items = _expect(value, list, "an array", where)
    arms = typing.get_args(hint)
    if arms[-1] is Ellipsis:
        arms = (arms[0],) * len(items)
    elif len(items) != len(arms):
        raise ConfigError(f"{where}: expected an array of {len(arms)}, not of {len(items)}")
    return tuple(
        _read(item, arm, f"{where}[{index}]") for index, (item, arm) in enumerate(zip(items, arms, strict=True))
    )


def _read_dict(value: Any, hint: Any, where: str) -> dict[str, Any]:
    value_hint = typing.get_args(hint)[1]
    table = _expect(value, dict, "a table", where)
    return {key: _read(item, value_hint, f"{where}.{key}") for key, item in table.items()}


def _read_enum(value: Any, hint: Any, where: str) -> Any:
    try:
        return hint(value)
    except ValueError:
        choices = ", ".join(repr(member.value) for member in hint)
        raise ConfigError(f"{where}: expected one of {choices}, not {_show(value)}") from None


def _read_float(value: Any, _hint: Any, where: str) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return float(_expect(value, float, "a number", where))


def _read_int(value: Any, _hint: Any, where: str) -> int:
    if isinstance(value, bool):
        raise ConfigError(f"{where}: expected a whole number, not {_show(value)}")
    return int(_expect(value, int, "a whole number", where))


def _expect(value: Any, kind: type, name: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigError(f"{where}: expected {name}, not {_show(value)}")
    return value


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"


_READERS: dict[type, Callable[[Any, Any, str], Any]] = {
    # bool is an int and a StrEnum a str, so the narrower type stands first
    bool: lambda value, _hint, where: _expect(value, bool, "true or false", where),
    Enum: _read_enum,
    int: _read_int,
    float: _read_float,
    str: lambda value, _hint, where: _expect(value, str, "a string", where),
    bytes: lambda value, _hint, where: _expect(value, str, "a string", where).encode(),
    Path: lambda value, _hint, where: Path(_expect(value, str, "a file name", where)),
    tuple: _read_tuple,
    dict: _read_dict,
}
