"""TLS opened with a key log: a real session, its two ends in memory."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

import pytest
from capture_files import BROKER, CLIENT, Line, write_pcap

from interop.capture.segments import BadCapture, Endpoint
from interop.capture.streams import Conversation, conversations
from interop.capture.tls import opened, read_key_log
from interop.cli import main
from reference_broker.net.tls import TestCertificates, make_test_certificates
from reference_broker.wire.encode import encode
from reference_broker.wire.packets import ConnAck, Connect, Publish
from reference_broker.wire.types import QoS, Version
from reports.record import read_records

SAID = [(True, b"\x10CONNECT"), (False, b" CONNACK"), (True, b"x" * 40_000), (False, b"last")]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> TestCertificates:
    return make_test_certificates(tmp_path_factory.mktemp("certificates"))


class Session:
    """Both ends of a TLS connection; what they send each other goes into a line of TCP."""

    def __init__(self, certificates: TestCertificates, key_log: Path, version: ssl.TLSVersion, ciphers: str) -> None:
        self.line = Line().open()
        client = ssl.create_default_context(cafile=str(certificates.ca_file))
        client.minimum_version = client.maximum_version = version
        client.keylog_filename = str(key_log)
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(certificates.cert_file, certificates.key_file)
        if ciphers:
            client.set_ciphers(ciphers)
            server.set_ciphers(ciphers)
        self._pipes = {CLIENT: (ssl.MemoryBIO(), ssl.MemoryBIO()), BROKER: (ssl.MemoryBIO(), ssl.MemoryBIO())}
        self.ends = {
            CLIENT: client.wrap_bio(*self._pipes[CLIENT], server_hostname="localhost"),
            BROKER: server.wrap_bio(*self._pipes[BROKER], server_side=True),
        }
        for end in (CLIENT, BROKER, CLIENT, BROKER):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.ends[end].do_handshake()
            self._carry(end)

    def say(self, end: Endpoint, data: bytes) -> None:
        self.ends[end].write(data)
        self._carry(end)

    def _carry(self, end: Endpoint) -> None:
        while data := self._pipes[end][1].read(1000):
            self.line.say(end, data)
            self._pipes[self.line.peer(end)][0].write(data)

    def captured(self) -> Conversation:
        (conversation,) = conversations(self.line.segments, 1 << 20)
        return conversation


def session(
    certificates: TestCertificates, key_log: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, ciphers: str = ""
) -> Session:
    made = Session(certificates, key_log, version, ciphers)
    for is_client, data in SAID:
        made.say(CLIENT if is_client else BROKER, data)
    return made


def inside(conversation: Conversation) -> list[tuple[bool, bytes]]:
    """What was said by turns."""
    turns: list[tuple[bool, bytes]] = []
    for heard in conversation.heard:
        if turns and turns[-1][0] is heard.is_client:
            turns[-1] = heard.is_client, turns[-1][1] + heard.data
        elif heard.data:
            turns.append((heard.is_client, heard.data))
    return turns


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_3, ""),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM+AES128"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+CHACHA20"),
    ],
)
def test_what_was_said_inside_is_read_with_its_keys(
    version: ssl.TLSVersion, ciphers: str, certificates: TestCertificates, tmp_path: Path
) -> None:
    captured = session(certificates, tmp_path / "keys", version, ciphers).captured()
    read = opened(captured, read_key_log(tmp_path / "keys"))
    assert inside(read) == SAID
    assert not any(heard.unknown for heard in read.heard)


def test_mqtt_over_tls_is_judged_with_a_key_log_and_left_out_without(
    certificates: TestCertificates, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Session(certificates, tmp_path / "keys", ssl.TLSVersion.TLSv1_3, "")
    again = encode(Publish("t", b"x", QoS.AT_LEAST_ONCE, packet_id=1), Version.V311)
    made.say(CLIENT, encode(Connect(Version.V311, "secret", keep_alive=0), Version.V311))
    made.say(BROKER, encode(ConnAck(), Version.V311))
    made.say(CLIENT, again)
    made.say(CLIENT, again)
    command = ["judge", str(write_pcap(tmp_path / "tls.pcap", made.line.segments)), "--out", str(tmp_path / "judged")]
    assert main(command) == 3
    assert "1 connections not judged: TLS: with a key log" in capsys.readouterr().out
    assert main([*command, "--key-log", str(tmp_path / "keys")]) == 1
    assert '"secret" (10.1.0.1:40000) MUST client' in capsys.readouterr().out
    (record,) = read_records(tmp_path / "judged" / "results.jsonl")
    assert record.transport == "tls"


def test_without_its_keys_nothing_is_known_and_it_says_why(certificates: TestCertificates, tmp_path: Path) -> None:
    captured = session(certificates, tmp_path / "keys").captured()
    session(certificates, tmp_path / "others")
    read = opened(captured, read_key_log(tmp_path / "others"))
    assert inside(read) == []
    assert [heard.unknown for heard in read.heard if heard.unknown] == ["no keys of this connection in the key log"]


def test_a_cipher_that_cannot_be_opened_is_named(certificates: TestCertificates, tmp_path: Path) -> None:
    ciphers = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    captured = session(certificates, tmp_path / "keys", ssl.TLSVersion.TLSv1_2, ciphers).captured()
    (why,) = [each.unknown for each in opened(captured, read_key_log(tmp_path / "keys")).heard if each.unknown]
    assert why.startswith("cipher suite 0x")


def test_a_record_changed_on_the_way_ends_what_is_known(certificates: TestCertificates, tmp_path: Path) -> None:
    made = session(certificates, tmp_path / "keys")
    last = made.line.segments[-1]
    made.line.segments[-1] = type(last)(
        last.number, last.at, last.source, last.target, last.sequence, last.acknowledged,
        last.data[:-1] + bytes((last.data[-1] ^ 1,)), last.size_bytes,
    )  # fmt: skip
    read = opened(made.captured(), read_key_log(tmp_path / "keys"))
    assert inside(read) == SAID[:-1]
    assert read.heard[-1].unknown == "a record that the key log does not open"


@pytest.mark.parametrize("text", ["", "# nothing\n", "CLIENT_RANDOM xx yy\n"])
def test_a_file_that_is_no_key_log_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text, "utf-8")
    with pytest.raises(BadCapture, match="has no line of a TLS key log"):
        read_key_log(file)
