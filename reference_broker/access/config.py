"""What an operator says of access: files, listeners, certificates.

Belongs here: the settings and the checks that they make sense together.
Does not belong here: what is in the files (`passwords`, `rules`), or the limits of the broker (`broker.values.config`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from reference_broker.net.address import Address, Transport
from reference_broker.net.config import ConfigError, ServerConfig


class Demand(StrEnum):
    """Whether clients show a certificate."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Naming(StrEnum):
    """What of a client's certificate is its user name."""

    NONE = "none"
    SUBJECT = "subject"
    """The last common name of the subject."""
    SAN = "san"
    """The first alternative name: DNS name, mail address or URI."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One more place to listen, with rights of its own; `name` is what rules call it.

    Where `cert` and `key` are missing the server's are used. `client_ca` is the file whose authorities sign clients'
    certificates. `allow_anonymous` and `origins` default to the server's.
    """

    name: str
    port: int
    host: str = "127.0.0.1"
    transport: Transport = Transport.TCP
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    client_certificate: Demand = Demand.NONE
    username_from: Naming = Naming.NONE
    allow_anonymous: bool | None = None
    origins: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.name or any(letter.isspace() for letter in self.name):
            raise ConfigError(f"a listener's name is one word, not {self.name!r}")
        self._check_certificates()

    def _check_certificates(self) -> None:
        if self.client_certificate is Demand.NONE:
            if self.username_from is not Naming.NONE:
                raise ConfigError(f"listener {self.name}: username_from needs client_certificate")
        elif not self.transport.is_encrypted:
            raise ConfigError(f"listener {self.name}: client_certificate needs transport tls or wss")
        elif self.client_ca is None:
            raise ConfigError(f"listener {self.name}: client_certificate needs client_ca")

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self.host, self.port, self.transport)


@dataclass(frozen=True, slots=True)
class GuardedConfig(ServerConfig):
    """A broker on the network whose users, rules and listeners stand in files."""

    # Who comes in, and what they may do then; read again at SIGHUP.
    password_file: Path | None = None
    """File of users and the hashes of their passwords, written by `mqtt-interop passwd FILE USER`."""
    rules_file: Path | None = None
    """File of what each user may publish and subscribe to; what it does not allow is refused."""
    client_ca: Path | None = None
    """PEM file of the authorities that sign clients' certificates, for `tls_port` and `wss_port`."""
    client_certificate: Demand = Demand.NONE
    """Whether clients may or have to show a certificate there."""
    username_from: Naming = Naming.NONE
    """Whether the certificate's subject or first alternative name (`san`) is the client's user name."""
    origins: tuple[str, ...] = ()
    """Origins of web pages that may use WebSocket, such as `https://example.org`; none stands for all."""
    listener: tuple[Listener, ...] = ()
    """More places to listen: `name`, `port` and what is to differ of `host`, `transport` and the settings for these."""

    def __post_init__(self) -> None:
        names = [each.name for each in self.entrances()]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two listeners have the name {name}")
        ServerConfig.__post_init__(self)
        for each in self.entrances():
            if each.transport.is_encrypted and (each.cert is None or each.key is None):
                raise ConfigError(f"listener {each.name} needs a certificate and its key (cert and key)")

    def listeners(self) -> list[Address]:
        """The addresses to listen on, those of `listener` last; raises ConfigError for a port that is none."""
        return [*ServerConfig.listeners(self), *(each.address for each in self.listener)]

    def entrances(self) -> list[Listener]:
        """All listeners, each with all that holds there, in the order of `listeners`."""
        own = [
            Listener(
                "unix" if address.unix_socket else address.transport, address.port, address.host, address.transport
            )
            for address in ServerConfig.listeners(self)
        ]
        demanded = [
            replace(
                each,
                client_ca=self.client_ca,
                client_certificate=self.client_certificate,
                username_from=self.username_from,
            )
            if each.transport.is_encrypted
            else each
            for each in own
        ]
        return [self._completed(each) for each in (*demanded, *self.listener)]

    def lets_anybody_in(self, address: Address) -> bool:
        """Whether no proof is wanted there, and nobody said so in words."""
        place = self.listeners().index(address)
        entrance = self.entrances()[place]
        has_users = self.password_file is not None or self.broker.users is not None
        return not (has_users or entrance.allow_anonymous or entrance.client_certificate is Demand.REQUIRED)

    def _completed(self, each: Listener) -> Listener:
        return replace(
            each,
            cert=each.cert or self.cert,
            key=each.key or self.key,
            allow_anonymous=self.broker.allow_anonymous if each.allow_anonymous is None else each.allow_anonymous,
            origins=self.origins if each.origins is None else each.origins,
        )
