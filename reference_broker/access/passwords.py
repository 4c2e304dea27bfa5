"""The file of users: a line `name:hash` each, and behind it what SCRAM-SHA-256 needs, where that is wanted.

Belongs here: reading, checking and writing it. A hash is Argon2id's in its usual text form; what SCRAM needs is
`SCRAM-SHA-256$iterations:salt$stored key:server key`, as PostgreSQL writes it. [RFC 9106, RFC 5803]
Does not belong here: who may do what (`rules`), the exchange of SCRAM (`scram`), asking for a password (`command`).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reference_broker.access.packages import package
from reference_broker.net.config import ConfigError
from reference_broker.net.errors import reason_of

_SCRAM = "SCRAM-SHA-256$"

_ITERATIONS = 4096
"""The least there may be, as some clients take no more. [RFC 7677 4]"""

_REMEMBERED = 10_000
"""Right passwords that need not be hashed again, because a client comes back."""


@dataclass(frozen=True, slots=True, repr=False)
class ScramKeys:
    """What a server needs to know of a password to take part in SCRAM. [RFC 5802 3]"""

    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int

    def text(self) -> str:
        """As it stands in the file."""
        salt, stored, server = (
            base64.b64encode(each).decode() for each in (self.salt, self.stored_key, self.server_key)
        )
        return f"{_SCRAM}{self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def parse(cls, text: str) -> ScramKeys:
        """The reverse; raises ValueError."""
        iterations, salt, keys = text.removeprefix(_SCRAM).replace(":", "$", 1).split("$")
        stored, server = keys.split(":")
        try:
            values = [base64.b64decode(each, validate=True) for each in (salt, stored, server)]
        except binascii.Error as error:
            raise ValueError(str(error)) from None
        return cls(values[0], values[1], values[2], int(iterations))


@dataclass(frozen=True, slots=True, repr=False)
class User:
    """One line of the file."""

    password_hash: str
    scram: ScramKeys | None = None


class PasswordFile:
    """Users by name, as they were when the file was read."""

    def __init__(self, users: dict[str, User]) -> None:
        self.users = users
        self._hasher = package("argon2", "a password file").PasswordHasher()
        self._mismatch = package("argon2", "a password file").exceptions.Argon2Error
        self._nobodys = _nobodys_hash()
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}

    @classmethod
    def read(cls, path: Path) -> PasswordFile:
        """Read the file; raises ConfigError, which shows nothing of a line."""
        return cls(_users(path))

    @property
    def has_scram(self) -> bool:
        """Whether anybody may use SCRAM."""
        return any(user.scram is not None for user in self.users.values())

    def scram_keys(self, username: str) -> ScramKeys:
        """A user's keys; for whom there are none some that nothing fits, and always the same salt. [RFC 5802 5.1]"""
        user = self.users.get(username)
        if user is not None and user.scram is not None:
            return user.scram
        salt = hmac.digest(self._key, username.encode(), hashlib.sha256)[:16]
        return ScramKeys(salt, secrets.token_bytes(32), secrets.token_bytes(32), _ITERATIONS)

    def is_right(self, username: str, password: bytes) -> bool:
        """Whether this is the user's password; takes its time for a user that there is not, too."""
        user = self.users.get(username)
        expected = self._nobodys if user is None else user.password_hash
        seen = hmac.digest(self._key, b"\0".join((expected.encode(), password)), hashlib.sha256)
        if seen in self._right:
            return True
        try:
            self._hasher.verify(expected, password)
        except self._mismatch:
            return False
        if user is not None:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right[seen] = None
        return user is not None


@cache
def _nobodys_hash() -> str:
    """What the password of a user that there is not is compared with; made once, for files are read beside clients."""
    made: str = package("argon2", "a password file").PasswordHasher().hash(secrets.token_bytes(16))
    return made


def new_user(password: str, *, with_scram: bool) -> User:
    """A user with a new password. What SCRAM needs is easier to guess a password from than Argon2's hash is."""
    hashed = package("argon2", "a password file").PasswordHasher().hash(password)
    if not with_scram:
        return User(hashed)
    made = package("scramp", "SCRAM").ScramMechanism("SCRAM-SHA-256").make_auth_info(password, _ITERATIONS)
    return User(hashed, ScramKeys(*made))


def write_user(path: Path, name: str, user: User | None) -> bool:
    """Write the file anew with a user, or with None without; whether it had been there. Raises ConfigError.

    Whoever reads the file meanwhile reads all of the old one or all of the new one, which only its owner can.
    """
    if not _is_written_as_it_is_read(name):
        raise ConfigError(
            f"a user name may not be empty, begin with #, or have a colon or a line's end in it: {name!r}"
        )
    users = _users(path) if path.exists() else {}
    was_there = users.pop(name, None) is not None
    if user is not None:
        users[name] = user
    text = "".join(_line(each, of) for each, of in users.items())
    try:
        _replace(path, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {reason_of(error)}") from None
    return was_there


def _replace(path: Path, content: bytes) -> None:
    """Write beside and move; whatever happens, nothing else with hashes in it is left."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        aside = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(OSError):  # the owner stays the owner where the administrator writes
                had = path.stat()
                os.chown(aside, had.st_uid, had.st_gid)
                aside.chmod(had.st_mode & 0o777)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


def _is_written_as_it_is_read(name: str) -> bool:
    """Whether the line that begins with a name is one line, of this name, in a file of UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return name.splitlines() == [name] and not name.startswith("#") and not {":", "\0"} & set(name)


def _is_hash(text: str) -> bool:
    argon2 = package("argon2", "a password file")
    try:
        argon2.extract_parameters(text)
    except (ValueError, LookupError):  # releases differ in what they say of a text that is far from a hash
        return False
    return True


def _line(name: str, user: User) -> str:
    scram = "" if user.scram is None else f":{user.scram.text()}"
    return f"{name}:{user.password_hash}{scram}\n"


def _users(path: Path) -> dict[str, User]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason_of(error)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        hashed, _, scram = rest.partition(":")
        if not (name and _is_hash(hashed)):
            raise ConfigError(f"{path}, line {number}: no user with a hash; mqtt-interop passwd {path} USER writes one")
        try:
            keys = ScramKeys.parse(scram) if scram else None
        except ValueError:
            raise ConfigError(
                f"{path}, line {number}: what follows the hash is not for SCRAM; mqtt-interop passwd --scram writes it"
            ) from None
        if name in users:
            raise ConfigError(f"{path}, line {number}: user {name!r} is there twice")
        users[name] = User(hashed, keys)
    return users
