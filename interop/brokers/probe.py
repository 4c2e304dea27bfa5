"""One ordinary CONNECT and its answer: is a broker there, does it let us in, does it speak a version?

Belongs here: asking, and each answer in words.
Does not belong here: what follows for the cells of a run (`interop.runner.preflight`, `interop.runner.presence`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from reference_broker.net.address import Address
from reference_broker.net.errors import ConnectFailed
from reference_broker.net.stream import Stream, dial
from reference_broker.wire.encode import encode
from reference_broker.wire.errors import LocalError, RemoteError
from reference_broker.wire.packets import Connect, Disconnect
from reference_broker.wire.types import ConnectReturnCode, PacketType, ReasonCode, Version, is_error
from reference_broker.wire.varint import read_remaining_length

Login = tuple[str, str | None] | None
"""The user name and password a broker asks of everybody, or none."""

ANSWER_SECONDS = 1.0
"""How long a broker that is not busy may take to accept a connection, and again to answer."""

_GOODBYE_SECONDS = 0.2
_OTHER_VERSION = frozenset({ConnectReturnCode.UNACCEPTABLE_PROTOCOL_VERSION, ReasonCode.UNSUPPORTED_PROTOCOL_VERSION})
_CREDENTIALS = frozenset({
    ConnectReturnCode.BAD_USER_NAME_OR_PASSWORD, ConnectReturnCode.NOT_AUTHORIZED,
    ReasonCode.BAD_USER_NAME_OR_PASSWORD, ReasonCode.NOT_AUTHORIZED, ReasonCode.BAD_AUTHENTICATION_METHOD,
})  # fmt: skip


class Reaction(Enum):
    """What came of a CONNECT."""

    UNASKED = auto()
    """The version has no way to give the login. [3.1 MQTT31-10]"""
    UNREACHED = auto()
    SILENT = auto()
    CLOSED = auto()
    GARBLED = auto()
    CONNACK = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a broker did at a CONNECT of `version`: with CONNACK its code, when no connection came about the reason."""

    version: Version
    address: Address
    reaction: Reaction
    code: int = 0
    reason: str = ""

    @property
    def lets_in(self) -> bool:
        """Whether the client is connected."""
        return self.reaction is Reaction.CONNACK and self.code == 0

    @property
    def is_of_another_version(self) -> bool:
        """Whether it says that it does not speak the version; 5.0 has no codes below 0x80 but 0. [5.0 3.2.2.2]"""
        foreign = self.version is Version.V5 and self.code != 0 and not is_error(self.code)
        return self.reaction is Reaction.CONNACK and (self.code in _OTHER_VERSION or foreign)

    @property
    def is_about_credentials(self) -> bool:
        """Whether it would let in somebody else."""
        return self.reaction is Reaction.CONNACK and self.code in _CREDENTIALS

    @property
    def words(self) -> str:
        """What the broker did, as what follows its name."""
        where = self.address.host_and_port
        match self.reaction:
            case Reaction.UNASKED:
                return f"cannot be given its login in {self._mqtt}: {self.reason}"
            case Reaction.UNREACHED:
                return f"could not be reached at {where}: {self.reason}"
            case Reaction.SILENT:
                return f"accepted a connection at {where}, but did not answer CONNECT of {self._mqtt}"
            case Reaction.CLOSED:
                return f"closed the connection at CONNECT of {self._mqtt}, without CONNACK"
            case Reaction.GARBLED:
                return f"answered CONNECT of {self._mqtt} with something that is no CONNACK"
            case Reaction.CONNACK:
                return f"answered CONNECT of {self._mqtt} with {_said(self.code)}"

    @property
    def _mqtt(self) -> str:
        return f"MQTT {self.version.label}"


async def ask(address: Address, version: Version, login: Login = None, seconds: float = ANSWER_SECONDS) -> Answer:
    """Send an ordinary CONNECT, and DISCONNECT if let in; the connection and the answer may take `seconds` each."""
    try:
        connect = encode(_connect(version, login), version)
        stream = await dial(address, seconds)
    except LocalError as problem:
        return Answer(version, address, Reaction.UNASKED, reason=str(problem))
    except ConnectFailed as failure:
        return Answer(version, address, Reaction.UNREACHED, reason=as_clause(failure.reason))
    try:
        stream.write(connect)
        async with asyncio.timeout(seconds):
            code = await _code_of_connack(stream)
        if code == 0:
            stream.write(encode(Disconnect(), version))
        return Answer(version, address, Reaction.CONNACK, code)
    except TimeoutError:
        return Answer(version, address, Reaction.SILENT)
    except ConnectionError:
        return Answer(version, address, Reaction.CLOSED)
    except RemoteError:
        return Answer(version, address, Reaction.GARBLED)
    finally:
        await leave(stream)


async def leave(stream: Stream) -> None:
    """Close a connection and wait a moment for the other side to do so; no socket is left open."""
    stream.close()
    try:
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await stream.wait_closed()
    except TimeoutError:
        stream.abort()
        await stream.wait_closed()


async def ask_all(
    address: Address, versions: Iterable[Version], login: Login = None, seconds: float = ANSWER_SECONDS
) -> list[Answer]:
    """The answers to a CONNECT of each version, all sent at once."""
    return list(await asyncio.gather(*(ask(address, version, login, seconds) for version in versions)))


def _connect(version: Version, login: Login) -> Connect:
    client_id = f"probe{secrets.token_hex(8)}"  # one that every server takes [3.1.1 MQTT-3.1.3-5]
    username, password = login or (None, None)
    secret = None if password is None else password.encode("utf-8", "surrogateescape")
    return Connect(version, client_id, keep_alive=60, username=username, password=secret)


async def _code_of_connack(stream: Stream) -> int:
    """Read as far as the code, which has one place in all versions; raises ConnectionError or RemoteError."""
    data = b""
    while True:
        if data and data[0] != PacketType.CONNACK << 4:
            raise RemoteError("no CONNACK", ReasonCode.PROTOCOL_ERROR)
        header = read_remaining_length(data, 0) if data else None
        if header is not None and len(data) > header[1] + 1:
            return data[header[1] + 1]
        more = await stream.read()
        if not more:
            raise ConnectionError("closed before CONNACK")
        data += more


def as_clause(reason: str) -> str:
    """What a system says of an error (`Connection refused`), to stand behind a colon; `TLS` stays as it is."""
    return reason if reason[:2].isupper() else reason[:1].lower() + reason[1:]


def _said(code: int) -> str:
    kind, codes = ("reason code", ReasonCode) if is_error(code) else ("return code", ConnectReturnCode)
    name = next((each.name for each in codes if each == code), "")
    return f"{kind} {code:#04x}" + (f", {name.lower().replace('_', ' ')}" if name else "")
