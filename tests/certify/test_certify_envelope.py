"""The envelope: what is signed, that others can check it, that no byte can change, where keys are kept."""

from __future__ import annotations

import json
import stat
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from interop.certify import dsse
from interop.exit_codes import CommandError

KEY = Ed25519PrivateKey.generate()
PAYLOAD = '{"what": "certified — ä"}'.encode()


def test_the_encoding_is_that_of_the_specifications_example() -> None:
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_an_independent_verifier_takes_the_envelope_and_refuses_another_payload() -> None:
    written = json.loads(dsse.sign(PAYLOAD, KEY))
    theirs = SSlibKey.from_crypto(KEY.public_key(), written["signatures"][0]["keyid"])
    envelope = TheirEnvelope.from_dict(json.loads(dsse.sign(PAYLOAD, KEY)))
    assert envelope.payload == PAYLOAD
    assert envelope.payload_type == "application/vnd.in-toto+json"
    envelope.verify([theirs], threshold=1)
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([theirs], threshold=1)


def test_openssl_takes_the_signature(tmp_path: Path) -> None:
    envelope = json.loads(dsse.sign(PAYLOAD, KEY))
    (tmp_path / "signed").write_bytes(dsse.pae(envelope["payloadType"], b64decode(envelope["payload"])))
    (tmp_path / "signature").write_bytes(b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "key.pem").write_text(dsse.public_pem(KEY.public_key()))
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile signature"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)


def test_what_was_signed_comes_out_of_the_envelope() -> None:
    envelope = dsse.Envelope.read(dsse.sign(PAYLOAD, KEY))
    envelope.check(KEY.public_key())
    assert envelope.payload == PAYLOAD


@pytest.mark.parametrize("change", [lambda byte: byte ^ 1, lambda byte: byte ^ 0x20, lambda _: 0x20])
def test_no_byte_of_an_envelope_can_be_another(change: object) -> None:
    data = dsse.sign(PAYLOAD, KEY)
    assert callable(change)
    for place in range(len(data)):
        other = bytearray(data)
        other[place] = change(other[place])
        if other != data:
            with pytest.raises((dsse.NoEnvelope, dsse.Refused)):
                dsse.Envelope.read(bytes(other)).check(KEY.public_key())


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\n", lambda data: b" " + data])
def test_an_envelope_has_no_byte_more_or_less(change: object) -> None:
    assert callable(change)
    with pytest.raises(dsse.Refused):
        dsse.Envelope.read(change(dsse.sign(PAYLOAD, KEY)))


def test_the_key_of_somebody_else_is_refused() -> None:
    with pytest.raises(dsse.Refused, match="does not fit"):
        dsse.Envelope.read(dsse.sign(PAYLOAD, KEY)).check(Ed25519PrivateKey.generate().public_key())


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_key_that_is_missing_is_made_for_its_owner_only_and_used_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "mine.pem"
    made, is_new = dsse.private_key(path)
    assert is_new
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again, is_new = dsse.private_key(path)
    assert not is_new
    assert dsse.key_id(again.public_key()) == dsse.key_id(made.public_key())


def test_a_public_key_may_be_had_from_the_private_ones_file(tmp_path: Path) -> None:
    made, _ = dsse.private_key(tmp_path / "mine.pem")
    assert dsse.public_pem(dsse.public_key((tmp_path / "mine.pem").read_bytes(), "mine.pem")) == dsse.public_pem(
        made.public_key()
    )


@pytest.mark.parametrize("pem", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_said_in_one_line(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(CommandError, match=r"key\.pem: no private key in PEM"):
        dsse.private_key(tmp_path / "key.pem")
    with pytest.raises(CommandError, match=r"key\.pem: no key in PEM"):
        dsse.public_key(pem, "key.pem")


def test_only_ed25519_signs_and_checks() -> None:
    other = generate_private_key(SECP256R1()).public_key()
    with pytest.raises(CommandError, match="no Ed25519 key"):
        dsse.public_key(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "key.pem")
