"""TLS on bytes in memory, and the certificates tests use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from reference_broker.net.address import Address, Transport
from reference_broker.net.errors import CertificateUnusable
from reference_broker.net.tls import (
    TestCertificates,
    TlsWrapping,
    client_context,
    make_test_certificates,
    server_context,
)
from reference_broker.net.websocket import WebSocketWrapping
from reference_broker.net.wrapping import Nested, Wrapping


def new_pair(certificates: TestCertificates) -> tuple[TlsWrapping, TlsWrapping]:
    client = TlsWrapping(client_context(certificates.ca_file), server_hostname="localhost")
    return client, TlsWrapping(server_context(certificates.cert_file, certificates.key_file))


def shake_hands(client: Wrapping, server: Wrapping) -> None:
    for _ in range(6):
        assert server.receive(client.take_reply()) == b""
        assert client.receive(server.take_reply()) == b""
    assert client.is_open
    assert server.is_open


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 1_000_000])
def test_bytes_of_any_size_survive_both_ways(certificates: TestCertificates, size: int) -> None:
    client, server = new_pair(certificates)
    shake_hands(client, server)
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert server.receive(client.send(data)) == data
    assert client.receive(server.send(data)) == data


def test_close_notify_ends_the_stream_without_an_error(certificates: TestCertificates) -> None:
    client, server = new_pair(certificates)
    shake_hands(client, server)
    assert server.receive(client.send(b"last") + client.close()) == b"last"
    assert server.has_ended
    assert server.error is None
    client.receive(server.close())
    assert client.has_ended


def test_records_that_were_changed_on_the_way_are_refused(certificates: TestCertificates) -> None:
    client, server = new_pair(certificates)
    shake_hands(client, server)
    record = bytearray(client.send(b"secret"))
    record[-1] ^= 1
    assert server.receive(bytes(record)) == b""
    assert "TLS failed" in str(server.error)
    assert server.take_reply()  # an alert


def test_a_name_the_certificate_does_not_hold_is_refused(certificates: TestCertificates) -> None:
    client = TlsWrapping(client_context(certificates.ca_file), server_hostname="example.org")
    server = TlsWrapping(server_context(certificates.cert_file, certificates.key_file))
    server.receive(client.take_reply())
    client.receive(server.take_reply())
    assert "certificate verify failed" in str(client.error)
    assert not client.is_open


@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_make_a_server_raise(certificates: TestCertificates, data: bytes) -> None:
    _, server = new_pair(certificates)
    server.receive(data)
    server.take_reply()
    server.receive(data)
    server.close()


def test_websocket_inside_tls_shakes_hands_in_turn(certificates: TestCertificates) -> None:
    tls_client, tls_server = new_pair(certificates)
    client = Nested(tls_client, WebSocketWrapping.client(Address("localhost", 1, Transport.WSS)))
    server = Nested(tls_server, WebSocketWrapping.server())
    assert (client.name, client.is_open) == ("TLS", False)
    shake_hands(client, server)
    assert client.name == "WebSocket"
    assert server.receive(client.send(b"x")) == b"x"
    assert server.receive(client.close()) == b""
    assert server.has_ended


def test_certificates_are_made_once(tmp_path: Path) -> None:
    first = make_test_certificates(tmp_path / "new" / "folder")
    content = first.cert_file.read_bytes()
    assert make_test_certificates(tmp_path / "new" / "folder") == first
    assert first.cert_file.read_bytes() == content


def test_certificates_made_by_many_at_once_belong_together(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: make_test_certificates(tmp_path / "shared"), range(4)))
    (certificates,) = made
    shake_hands(*new_pair(certificates))
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]


def test_files_that_cannot_be_used_are_named(tmp_path: Path, certificates: TestCertificates) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("not a certificate")
    with pytest.raises(CertificateUnusable, match=f"cannot use CA file {rubbish}"):
        client_context(rubbish)
    with pytest.raises(CertificateUnusable, match=f"cannot use certificate {rubbish} with key {certificates.key_file}"):
        server_context(rubbish, certificates.key_file)
    with pytest.raises(CertificateUnusable, match=f"cannot read {tmp_path}/none: No such file or directory"):
        client_context(tmp_path / "none")


def test_a_key_with_a_passphrase_is_refused_and_no_terminal_is_asked(
    certificates: TestCertificates, tmp_path: Path
) -> None:
    key = serialization.load_pem_private_key(certificates.key_file.read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateUnusable, match=f"cannot use key {encrypted}: it is encrypted"):
        server_context(certificates.cert_file, encrypted)


def test_a_certificate_that_is_no_pem_file_is_said_without_openssl_s_line_numbers(
    certificates: TestCertificates, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text("not a certificate")
    with pytest.raises(CertificateUnusable, match=r"one of them is no PEM file of that kind$"):
        server_context(other, certificates.key_file)
