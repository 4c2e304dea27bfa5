"""What a broker by address says of itself, as a file: `--broker-profile FILE.toml`.

Belongs here: the fields of the file, reading it.
Does not belong here: the broker it describes (`profiled`), writing a first version (`interop.probe`).
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from interop.brokers.broker import BrokerFault
from interop.scenario.features import unknown_features
from interop.scenario.problems import closest, first_problem
from interop.scenario.values import MqttLabel, Strict
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Address, Login, Transport, without_login
from reference_broker.net.config import ServerConfig

_SCHEMES = {Transport.TCP: "mqtt", Transport.TLS: "mqtts", Transport.WS: "ws", Transport.WSS: "wss"}


class BadProfile(BrokerFault):
    """A profile that cannot be used; the message names file and field, and shows no value."""


class Listeners(Strict):
    """Where it listens, `host:port` or a URL for each transport; `ca` is what its certificates are checked by (PEM)."""

    tcp: str | None = None
    tls: str | None = None
    ws: str | None = None
    wss: str | None = None
    ca: Path | None = Field(None, description="beside the profile, or absolute; none: what the system trusts")
    check_host_name: bool = True


class Credentials(Strict):
    """The login that every client without one of its own uses; no output shows it."""

    username: str
    password: str | None = None


class Commands(Strict):
    """How to do what only its owner can: a command line, or an http(s) URL to POST to. Each is done when it returns.

    `restart` ends the broker in order and starts it again, `kill` kills it and starts it again, both with the state it
    kept; `reset` lets it forget all sessions and retained messages.
    """

    restart: str | None = None
    kill: str | None = None
    reset: str | None = None


class BrokerProfile(Strict):
    """One file.

    `lacks` and `offers` have names of `mqtt-interop list features`: what it cannot do, and what it can that is no part
    of MQTT. `settings` are those it was started with, by the names of the reference broker's (docs/settings.md): cells
    that ask for exactly these can be played. `alone` says that nobody else uses it, so that with a `reset` cells may
    have it to themselves.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    version: str = "version unknown"
    mqtt: tuple[MqttLabel, ...] = Field(("3.1", "3.1.1", "5.0"), min_length=1)
    lacks: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    alone: bool = False
    listeners: Listeners
    login: Credentials | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    commands: Commands = Commands()
    known_failures: tuple[dict[str, Any], ...] = Field(
        (), description="as in a list of known failures; `broker` is this one"
    )

    @field_validator("lacks", "offers")
    @classmethod
    def _are_features(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if problems := unknown_features(names):
            raise ValueError("; ".join(problems))
        return names

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, given: dict[str, Any]) -> dict[str, Any]:
        known = sorted(each.name for kind in (BrokerConfig, ServerConfig) for each in fields(kind))
        for name in given:
            if name not in known:
                close = closest(name, known)
                guess = f"; did you mean {close!r}?" if close else ""
                raise ValueError(f"there is no setting {name!r}{guess} (docs/settings.md has them all)")
        return given

    @model_validator(mode="after")
    def _listens(self) -> BrokerProfile:
        if not self.addresses:
            raise ValueError("listeners: expected at least one of tcp, tls, ws, wss")
        return self

    @cached_property
    def addresses(self) -> dict[Transport, Address]:
        """Where it listens, by transport; raises ValueError."""
        given = {transport: getattr(self.listeners, transport.value) for transport in Transport}
        return {transport: self._address(transport, text) for transport, text in given.items() if text}

    def _address(self, transport: Transport, text: str) -> Address:
        address = Address.parse(text if "://" in text else f"{_SCHEMES[transport]}://{text}", ca_file=self.listeners.ca)
        if address.transport is not transport:
            raise ValueError(f"listeners.{transport}: {without_login(text)} is for {address.transport}")
        if address.login is not None:
            raise ValueError(f"listeners.{transport}: user name and password belong into [login]")
        return Address(
            address.host,
            address.port,
            transport,
            address.path,
            ca_file=self.listeners.ca if transport.is_encrypted else None,
            check_host_name=self.listeners.check_host_name,
            login=self._login,
        )

    @property
    def _login(self) -> Login | None:
        if self.login is None:
            return None
        return Login(self.login.username, None if self.login.password is None else self.login.password.encode())


def load_profile(path: Path) -> BrokerProfile:
    """Read a profile; files it names are beside it. Raises BadProfile in one line that shows no value of the file."""
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadProfile(f"{path}: {error.strerror}") from None
    except ValueError as error:  # of TOML, of UTF-8
        raise BadProfile(f"{path}: not TOML: {error}") from None
    try:
        if ca := written.get("listeners", {}).get("ca"):
            written["listeners"]["ca"] = path.parent / ca
            if not (path.parent / ca).is_file():
                raise BadProfile(f"{path}: listeners.ca: there is no file {ca}, seen from where the profile is")
        return BrokerProfile.model_validate(written)
    except ValidationError as error:
        raise BadProfile(f"{path}: {first_problem(error, BrokerProfile)}") from None
    except (AttributeError, TypeError):
        raise BadProfile(f"{path}: listeners: expected a table") from None
