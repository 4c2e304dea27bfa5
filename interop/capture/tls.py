"""TLS opened with a key log: what each side said inside.

Belongs here: the key log, records, and the keys that open them; the ciphers are the library's.
Does not belong here: TCP (`streams`), what is inside (`connections`).

Nobody is a party here: nothing is verified but what opening a record verifies. A key is right when it opens the record,
so that the handshake need not be followed: the next key is tried where the present one does not open. [RFC 8446 5.2]
Key log: https://www.ietf.org/archive/id/draft-thomson-tls-keylogfile-00.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from interop.capture.segments import BadCapture
from interop.capture.streams import Conversation, Heard

_HEADER_BYTES = 5
_CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION_DATA = 20, 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SUPPORTED_VERSIONS = 43
_RETRY = hashlib.sha256(b"HelloRetryRequest").digest()  # the random of a ServerHello that is none [RFC 8446 4.1.3]
_KEYS_TRIED = 3
"""Of the handshake, of what comes first, of what a change of keys makes of that."""
_NO_KEYS, _NOT_OPENED = "no keys of this connection in the key log", "a record that the key log does not open"
_SIDES = {True: "CLIENT", False: "SERVER"}

Keys = dict[tuple[str, bytes], bytes]
"""Secrets by label and client random."""


def read_key_log(path: Path) -> Keys:
    """The secrets of a key log file; raises BadCapture."""
    keys: Keys = {}
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError as error:
        raise BadCapture(f"{path}: {error.strerror}") from error
    for line in lines:
        words = line.split()
        if len(words) == 3 and not line.startswith("#"):
            try:
                keys[words[0], bytes.fromhex(words[1])] = bytes.fromhex(words[2])
            except ValueError:
                continue
    if not keys:
        raise BadCapture(f"{path} has no line of a TLS key log: LABEL CLIENT_RANDOM SECRET")
    return keys


class Closed(Exception):
    """What TLS says cannot be opened; the text says why."""


class _Cipher(Protocol):
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Suite:
    """What a cipher suite means for records."""

    cipher: Callable[[bytes], _Cipher]
    key_bytes: int
    hash_name: str = "sha256"
    explicit_nonce_bytes: int = 0

    @property
    def hash(self) -> hashes.HashAlgorithm:
        """Its hash, as the library has it."""
        return hashes.SHA384() if self.hash_name == "sha384" else hashes.SHA256()


_GCM_128, _GCM_256 = _Suite(AESGCM, 16, "sha256", 8), _Suite(AESGCM, 32, "sha384", 8)
_CHACHA = _Suite(ChaCha20Poly1305, 32)
_SUITES = {
    0x1301: replace(_GCM_128, explicit_nonce_bytes=0),
    0x1302: replace(_GCM_256, explicit_nonce_bytes=0),
    0x1303: _CHACHA,
    **dict.fromkeys((0x009C, 0x009E, 0x00A8, 0xC02B, 0xC02F), _GCM_128),
    **dict.fromkeys((0x009D, 0x009F, 0x00A9, 0xC02C, 0xC030), _GCM_256),
    **dict.fromkeys((0xCCA8, 0xCCA9, 0xCCAA), _CHACHA),
}
"""The suites that can be opened, by number: those of TLS 1.3, and those with AEAD of 1.2."""


@dataclass(slots=True)
class _Opener:
    """A key at work; `number` counts the records it opened."""

    suite: _Suite
    key: bytes
    iv: bytes
    is_13: bool
    number: int = 0

    def open(self, kind: int, version: bytes, payload: bytes) -> bytes:
        """What is in a record; raises InvalidTag where it is another key's."""
        counted = self.number.to_bytes(8, "big")
        explicit = self.suite.explicit_nonce_bytes
        if explicit:
            nonce, payload = self.iv + payload[:explicit], payload[explicit:]
        else:
            nonce = bytes(a ^ b for a, b in zip(self.iv, counted.rjust(len(self.iv), b"\0"), strict=True))
        if self.is_13:
            about = bytes((kind,)) + version + len(payload).to_bytes(2, "big")
        else:
            about = counted + bytes((kind,)) + version + max(0, len(payload) - 16).to_bytes(2, "big")
        try:
            plain = self.suite.cipher(self.key).decrypt(nonce, payload, about)
        except ValueError:  # too short to be anything
            raise InvalidTag from None
        self.number += 1
        return plain


@dataclass(slots=True)
class _Side:
    """What one side says, as far as it came."""

    name: str
    unread: bytes = b""
    opener: _Opener | None = None
    secrets: list[bytes] = field(default_factory=list)  # those of 1.3 that come next
    is_encrypted: bool = False


class _Session:
    """One TLS connection read from outside."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._sides = {is_client: _Side(name) for is_client, name in _SIDES.items()}
        self._client_random = b""
        self._server_random = b""
        self._suite: _Suite | None = None
        self._is_13 = False

    def feed(self, data: bytes, *, is_client: bool) -> bytes:
        """Take bytes of a side; gives what is inside. Raises Closed."""
        side = self._sides[is_client]
        side.unread += data
        return b"".join(self._records(side, is_client=is_client))

    def _records(self, side: _Side, *, is_client: bool) -> Iterator[bytes]:
        while len(side.unread) >= _HEADER_BYTES:
            kind, version = side.unread[0], side.unread[1:3]
            end = _HEADER_BYTES + int.from_bytes(side.unread[3:5], "big")
            if version[0] != 3:
                raise Closed("what is no record of TLS")
            if len(side.unread) < end:
                return
            payload, side.unread = side.unread[_HEADER_BYTES:end], side.unread[end:]
            if kind == _HANDSHAKE and not side.is_encrypted:
                self._hello(payload, is_client=is_client)
            elif kind == _CHANGE_CIPHER_SPEC:
                side.is_encrypted = not self._is_13
            elif self._is_13 and kind == _APPLICATION_DATA:
                yield self._open_13(side, version, payload)
            elif side.is_encrypted:
                yield self._open_12(side, kind, version, payload)

    def _hello(self, payload: bytes, *, is_client: bool) -> None:
        """Note what a ClientHello or ServerHello agrees on. [RFC 8446 4.1.2, 4.1.3; RFC 5246 7.4.1]"""
        random, rest = payload[6:38], payload[38:]
        if is_client and payload[0] == _CLIENT_HELLO:
            self._client_random = random
        elif not is_client and payload[0] == _SERVER_HELLO and random != _RETRY:
            self._server_random = random
            rest = rest[1 + rest[0] :]
            number = int.from_bytes(rest[:2], "big")
            self._suite = _SUITES.get(number)
            self._is_13 = _is_13(rest[5:])
            if self._suite is None:
                raise Closed(f"cipher suite 0x{number:04X}")
            self._agree(self._suite)

    def _agree(self, suite: _Suite) -> None:
        if self._is_13:
            for side in self._sides.values():
                labels = (f"{side.name}_HANDSHAKE_TRAFFIC_SECRET", f"{side.name}_TRAFFIC_SECRET_0")
                side.secrets = [found for label in labels if (found := self._keys.get((label, self._client_random)))]
        elif (master := self._keys.get(("CLIENT_RANDOM", self._client_random))) is not None:
            iv_bytes = 12 - suite.explicit_nonce_bytes
            seed = b"key expansion" + self._server_random + self._client_random
            block = _prf(master, seed, suite.hash_name, 2 * (suite.key_bytes + iv_bytes))
            keys, ivs = block[: 2 * suite.key_bytes], block[2 * suite.key_bytes :]
            for place, side in enumerate(self._sides.values()):
                key = keys[place * suite.key_bytes :][: suite.key_bytes]
                side.opener = _Opener(suite, key, ivs[place * iv_bytes :][:iv_bytes], is_13=False)

    def _open_12(self, side: _Side, kind: int, version: bytes, payload: bytes) -> bytes:
        if side.opener is None:
            raise Closed(_NO_KEYS)
        try:
            plain = side.opener.open(kind, version, payload)
        except InvalidTag:
            raise Closed(_NOT_OPENED) from None
        return plain if kind == _APPLICATION_DATA else b""

    def _open_13(self, side: _Side, version: bytes, payload: bytes) -> bytes:
        assert self._suite is not None  # the ServerHello told
        for _ in range(_KEYS_TRIED):
            if side.opener is not None:
                with suppress(InvalidTag):
                    inner = side.opener.open(_APPLICATION_DATA, version, payload).rstrip(b"\0")
                    return inner[:-1] if inner[-1:] == bytes((_APPLICATION_DATA,)) else b""
            if not side.secrets:
                break
            secret = side.secrets.pop(0)
            key = _expanded(self._suite, secret, b"key", self._suite.key_bytes)
            side.opener = _Opener(self._suite, key, _expanded(self._suite, secret, b"iv", 12), is_13=True)
            if not side.secrets:  # what a KeyUpdate makes of it [RFC 8446 7.2]
                side.secrets.append(_expanded(self._suite, secret, b"traffic upd", self._suite.hash.digest_size))
        raise Closed(_NO_KEYS if side.opener is None else _NOT_OPENED)


def _is_13(extensions: bytes) -> bool:
    """Whether a ServerHello chose TLS 1.3. [RFC 8446 4.2.1]"""
    while len(extensions) >= 4:
        size = int.from_bytes(extensions[2:4], "big")
        if int.from_bytes(extensions[:2], "big") == _SUPPORTED_VERSIONS:
            return extensions[4 : 4 + size] == b"\x03\x04"
        extensions = extensions[4 + size :]
    return False


def _expanded(suite: _Suite, secret: bytes, label: bytes, size_bytes: int) -> bytes:
    """HKDF-Expand-Label without context. [RFC 8446 7.1]"""
    name = b"tls13 " + label
    info = size_bytes.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
    return HKDFExpand(suite.hash, size_bytes, info).derive(secret)


def _prf(secret: bytes, seed: bytes, hash_name: str, size_bytes: int) -> bytes:
    """The pseudorandom function of TLS 1.2. [RFC 5246 5]"""
    made, link = b"", seed
    while len(made) < size_bytes:
        link = hmac.digest(secret, link, hash_name)
        made += hmac.digest(secret, link + seed, hash_name)
    return made[:size_bytes]


def is_tls(data: bytes) -> bool:
    """Whether a client's first bytes begin a TLS handshake."""
    return data[:2] == b"\x16\x03"


def opened(conversation: Conversation, keys: Keys) -> Conversation:
    """A connection as it was inside its TLS, as far as the keys open it."""
    session = _Session(keys)
    inside: list[Heard] = []
    for heard in conversation.heard:
        try:
            data = session.feed(heard.data, is_client=heard.is_client) if heard.data else b""
        except Closed as why:
            inside.append(replace(heard, data=b"", unknown=str(why)))
            break
        except IndexError:
            inside.append(replace(heard, data=b"", unknown="a broken handshake"))
            break
        if data or not heard.data:
            inside.append(replace(heard, data=data))
    return replace(conversation, heard=inside)
