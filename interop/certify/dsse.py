"""The envelope of a certificate: DSSE, signed with Ed25519.

Belongs here: signing and opening an envelope, and the key's file.
Does not belong here: what is in it (`statement`).

A certificate's envelope has one form: what a writer is free to choose in JSON and base64 is chosen here, and any other
is refused. So no byte of a file can change unnoticed, not even one that the signature does not cover.
Source: Dead Simple Signing Envelope, protocol 1.0.0.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from interop.exit_codes import CommandError

IN_TOTO = "application/vnd.in-toto+json"


class NoEnvelope(Exception):
    """A file that is no envelope of this form at all; the message says why."""


class Refused(Exception):
    """An envelope or a signature that is not as it was made; the message says why."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed: the pre-authentication encoding of type and payload."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """The envelope of a payload, as the bytes of its file."""
    return _written(payload, key.sign(pae(IN_TOTO, payload)), key_id(key.public_key()))


def _written(payload: bytes, signature: bytes, key: str) -> bytes:
    envelope = {
        "payload": b64encode(payload).decode(),
        "payloadType": IN_TOTO,
        "signatures": [{"keyid": key, "sig": b64encode(signature).decode()}],
    }
    return json.dumps(envelope, indent=1).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope that was read, and is not yet believed."""

    payload: bytes
    signature: bytes
    key_id: str

    @classmethod
    def read(cls, data: bytes) -> Envelope:
        """Raises NoEnvelope for what was never one, Refused for one that is not written as we write it."""
        try:
            written = json.loads(data)
            (signed,) = written["signatures"]
            payload, signature = b64decode(written["payload"]), b64decode(signed["sig"])
            envelope = cls(payload, signature, str(signed["keyid"]))
        except (ValueError, KeyError, TypeError) as error:
            raise NoEnvelope(f"no envelope of a certificate ({' '.join(str(error).split()) or 'empty'})") from None
        if data != _written(payload, signature, envelope.key_id):
            raise Refused("the envelope is not as it was written")
        return envelope

    def check(self, key: Ed25519PublicKey) -> None:
        """Raises Refused unless the holder of the key signed this payload."""
        try:
            key.verify(self.signature, pae(IN_TOTO, self.payload))
        except InvalidSignature:
            raise Refused("the signature does not fit") from None
        if self.key_id != key_id(key):
            raise Refused("the envelope names another key")


# --- keys -------------------------------------------------------------------------------------------------------------


def key_id(key: Ed25519PublicKey) -> str:
    """How people compare keys: SHA-256 of the public key's DER."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"SHA256:{hashlib.sha256(der).hexdigest()}"


def public_pem(key: Ed25519PublicKey) -> str:
    """The public key, to be given to whoever is to check."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_key(pem: bytes, where: str) -> Ed25519PublicKey:
    """A public key from PEM, which may also be the private key's file; raises CommandError."""
    try:
        key = load_pem_private_key(pem, None).public_key() if b"PRIVATE" in pem else load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CommandError(f"{where}: no key in PEM without a passphrase") from None
    if not isinstance(key, Ed25519PublicKey):
        raise CommandError(f"{where}: no Ed25519 key")
    return key


def private_key(path: Path) -> tuple[Ed25519PrivateKey, bool]:
    """The key in a file, made there for its owner's eyes only where there is none, and whether it was made."""
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return _new_key(path), True
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CommandError(f"{path}: no private key in PEM without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{path}: no Ed25519 key")
    return key, False


def _new_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key
