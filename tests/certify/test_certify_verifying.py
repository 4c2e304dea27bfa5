"""`mqtt-interop verify`: what is said of a certificate, and that nothing changed is taken for it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from certify_samples import KNOWN, issued, record
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interop.certify import dsse
from interop.cli import main
from reports.record import Verdict

KEY = Ed25519PrivateKey.generate()


def statement(certificate: Path) -> dict[str, object]:
    payload = json.loads(certificate.read_bytes())["payload"]
    document: dict[str, object] = json.loads(b64decode(payload))
    return document


def said(certificate: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main(["verify", str(certificate), *options])
    return code, capsys.readouterr().out.splitlines()


def test_what_was_certified_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = record("qos1/other", Verdict.FAIL, known_failure=KNOWN)
    code, lines = said(issued(tmp_path, record(), known, key=KEY), capsys)
    assert code == 0
    assert lines[0].startswith(
        "acme 1.0 (client) meets Small, with 1 exception: 1 of 2 cells pass; 2026-03-01, signed by SHA256:"
    )
    assert lines[1] == "as certified: results.jsonl, profile.toml, scenarios.sha256, kit.sha256, certificate.html"
    assert lines[2].startswith("not there to be checked: the kit (another one is installed here)")


def test_who_falls_short_is_certified_to_do_so_and_the_exit_code_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = said(issued(tmp_path, record(), record("qos1/other", Verdict.FAIL)), capsys)
    assert code == 1
    assert lines[0].startswith("acme 1.0 (client) falls short of Small: 1 of 2 cells pass")


def test_one_changed_byte_of_the_certificate_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = issued(tmp_path, record())
    data = certificate.read_bytes()
    for place in range(0, len(data), 97):
        certificate.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        code, lines = said(certificate, capsys)
        assert code in (1, 2), place
        assert "REFUSED" in lines[0]


BESIDE = ["results.jsonl", "profile.toml", "scenarios.sha256", "kit.sha256", "certificate.html"]


@pytest.mark.parametrize("name", BESIDE)
def test_one_changed_byte_of_a_file_beside_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    certificate = issued(tmp_path, record())
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    code, lines = said(certificate, capsys)
    assert (code, lines) == (1, [f"{certificate}: REFUSED: {name} beside it is not the one that was certified"])


def test_a_file_that_is_not_beside_it_is_said_not_to_have_been_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = issued(tmp_path, record())
    (tmp_path / "results.jsonl").unlink()
    code, lines = said(certificate, capsys)
    assert code == 0
    assert "results.jsonl" not in lines[1]
    assert lines[2].startswith("not there to be checked: results.jsonl")


def test_scenarios_beside_it_have_to_be_those_that_were_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = issued(tmp_path, record())
    (tmp_path / "scenarios").mkdir()
    code, lines = said(certificate, capsys)
    assert code == 1
    assert lines[0].endswith("REFUSED: scenarios beside it are not those that were played")


def test_the_key_that_is_trusted_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = issued(tmp_path, record(), key=KEY)
    (tmp_path / "its.pem").write_text(dsse.public_pem(KEY.public_key()))
    (tmp_path / "another.pem").write_text(dsse.public_pem(Ed25519PrivateKey.generate().public_key()))
    code, lines = said(certificate, capsys, "--key", str(tmp_path / "its.pem"))
    assert code == 0
    assert lines[0].endswith("its.pem")
    code, lines = said(certificate, capsys, "--key", str(tmp_path / "another.pem"))
    assert code == 1
    assert lines == [f"{certificate}: REFUSED: the signature does not fit"]


@pytest.mark.parametrize("data", [b"", b"{}", b"nonsense", b'{"payload": 1, "signatures": [{}]}', b"\xff"])
def test_a_file_that_is_no_certificate_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    code, lines = said(tmp_path / "file", capsys)
    assert code == 2
    assert len(lines) == 1


def test_a_signed_statement_about_something_else_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload = b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1"}'
    (tmp_path / "file").write_bytes(dsse.sign(payload, KEY))
    code, lines = said(tmp_path / "file", capsys)
    assert code == 2
    assert "not of test results" in lines[0]


def test_a_file_that_is_not_there_exits_2_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path / "absent.json")]) == 2
    assert "absent.json: No such file" in capsys.readouterr().err


def test_the_statement_is_a_test_result_as_in_toto_has_it(tmp_path: Path) -> None:
    other = record("qos1/other", Verdict.WARN)
    document = statement(issued(tmp_path, record(), other))
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert document["subject"] == [{"name": "acme.py", "digest": {"sha256": "ab" * 32}}]
    predicate = document["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["result"] == "WARNED"
    assert {each["name"] for each in predicate["configuration"]} == {
        "profile.toml", "kit.sha256", "scenarios.sha256", "known_failures.yaml",
    }  # fmt: skip
    assert (predicate["passedTests"], predicate["warnedTests"], predicate["failedTests"]) == (
        [record().cell_id], [other.cell_id], [],
    )  # fmt: skip


def test_the_private_key_stands_nowhere(tmp_path: Path) -> None:
    issued(tmp_path, record(), key=KEY)
    raw = KEY.private_bytes_raw()
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert raw not in data
        assert b64encode(raw)[:-2] not in data
        assert b"PRIVATE KEY" not in data
