"""`mqtt-interop certify`: what is played, what is written, how it ends; the run itself is scripted."""

from __future__ import annotations

import json
import socket
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest
from certify_samples import record

from interop.certify import digests, playing
from interop.certify.subject import broker_subject, client_subject
from interop.cli import main
from interop.exit_codes import CommandError
from interop.hands_off.play import Device
from reports.record import Record, Verdict, write_records
from reports.write import RESULTS

PROFILE = """\
title = "One scenario"
about = "For tests."
certifies = ["client"]
[selects]
mqtt = ["3.1.1", "5.0"]
scenarios = ["keep_alive/no_pingresp"]
[demands]
accepts = ["pass"]
"""


@pytest.fixture(name="played")
def scripted_run(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The options of each run; a run's exit code and records are those of `_answer`, by default all passes."""
    runs: list[list[str]] = []

    def instead(options: object) -> int:
        given = list(options)  # type: ignore[call-overload]
        runs.append(given)
        return _answer[0](given)

    monkeypatch.setattr(playing, "run_matrix", instead)
    monkeypatch.setattr(sys.modules[__name__], "_answer", [comes_to()])
    return runs


def comes_to(verdict: Verdict = Verdict.PASS, code: int = 0, without: int = 0) -> Callable[[list[str]], int]:
    def answer(options: list[str]) -> int:
        given = dict(zip(options[::2], options[1::2], strict=False))
        names = [value for option, value in zip(options[::2], options[1::2], strict=False) if option == "--scenario"]
        versions = [value for option, value in zip(options[::2], options[1::2], strict=False) if option == "--mqtt"]
        cells = [(name, mqtt) for name in names for mqtt in versions]
        records: list[Record] = [record(name, verdict, mqtt=mqtt, client="builtin") for name, mqtt in cells]
        write_records(Path(given["--out"]) / RESULTS, records[without:])
        return code

    return answer


_answer = [comes_to()]


def certify(folder: Path, *options: str, profile: str = PROFILE) -> int:
    """Certify the built-in client by a small profile, unless options say otherwise."""
    (folder / "small.toml").write_text(profile)
    who = [] if "--broker" in options else ["--client", "builtin"]
    files = ["--key", str(folder / "key.pem"), "--out", str(folder / "out")]
    return main(["certify", "--profile", str(folder / "small.toml"), *who, *files, *options])


def test_a_certificate_is_written_beside_the_reports(
    tmp_path: Path, played: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert certify(tmp_path) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'key.pem'}: a new key, SHA256:" in said
    assert "(client) meets One scenario: " in said
    assert "no PDF: there is no Chromium here" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "certificate.html", "certificate.json", "kit.sha256", "profile.toml", "results.jsonl", "scenarios.sha256",
    }  # fmt: skip
    assert main(["verify", str(tmp_path / "out" / "certificate.json"), "--key", str(tmp_path / "key.pem")]) == 0
    assert "the kit, the scenarios" in capsys.readouterr().out
    (options,) = played
    assert options[:4] == ["--client", "builtin", "--broker", "reference"]
    assert options.count("--scenario") == 1


def test_a_profile_that_is_not_met_exits_1_with_what_falls_short(
    tmp_path: Path, played: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _answer[0] = comes_to(Verdict.FAIL, code=1)
    assert certify(tmp_path) == 1
    said = capsys.readouterr().out
    assert "falls short of One scenario" in said
    assert "  fail by " in said
    assert "e.g. keep_alive/no_pingresp" in said
    assert (tmp_path / "out" / "certificate.json").is_file()


def test_where_a_cell_has_no_result_there_is_no_certificate(
    tmp_path: Path, played: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _answer[0] = comes_to(without=1)
    assert certify(tmp_path) == 2
    assert "no certificate: 1 cell came to no result" in capsys.readouterr().out
    assert not (tmp_path / "out" / "certificate.json").exists()


def test_a_run_that_the_harness_broke_keeps_its_exit_code(tmp_path: Path, played: list[list[str]]) -> None:
    _answer[0] = comes_to(Verdict.HARNESS_ERROR, code=2)
    assert certify(tmp_path) == 2


def test_an_earlier_certificate_does_not_outlive_a_run_that_came_to_none(
    tmp_path: Path, played: list[list[str]]
) -> None:
    assert certify(tmp_path) == 0
    _answer[0] = comes_to(without=1)
    certify(tmp_path)
    assert not (tmp_path / "out" / "certificate.json").exists()


def test_an_earlier_certificate_stays_where_nothing_was_played(tmp_path: Path, played: list[list[str]]) -> None:
    assert certify(tmp_path) == 0
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in out.iterdir()}
    _answer[0] = comes_to(code=2, without=2)  # a broker that is not there, an adapter that does not say hello
    assert certify(tmp_path) == 2
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("missing", ["--profile", "--client", "--key"])
def test_what_is_left_unsaid_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    given = {"--profile": "wills", "--client": "builtin", "--key": str(tmp_path / "key.pem")}
    del given[missing]
    assert main(["certify", *(word for pair in given.items() for word in pair)]) == 2
    assert missing in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_profile_says_whom_it_certifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certify(tmp_path, "--broker", "reference") == 2
    assert "profile small certifies no broker" in capsys.readouterr().err


def test_the_profiles_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "--list"]) == 0
    assert ["wills", "Wills", "(client", "or", "broker)"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]


# --- whom it is about -------------------------------------------------------------------------------------------------


def test_what_an_adapter_consists_of_are_the_files_of_its_command(tmp_path: Path) -> None:
    adapter = tmp_path / "acme.py"
    adapter.write_text("from interop.drivers.examples import minimal\nminimal._main()\n")
    who = client_subject(f"acme=command:{sys.executable} {adapter}", "")
    assert (who.side, who.name) == ("client", "acme")
    assert who.digests["acme.py"] == digests.of_bytes(adapter.read_bytes())
    assert who.digests.keys() - {"acme.py"} == {Path(sys.executable).name}
    assert "qos2" in who.lacks


def test_a_client_that_is_a_package_has_the_digest_of_its_files() -> None:
    (name,) = client_subject("paho", "").digests
    assert name.startswith("paho-mqtt 2.")


def test_ours_are_the_kit() -> None:
    assert (
        client_subject("builtin", "ab").digests == broker_subject("reference", "ab").digests == {"mqtt-interop": "ab"}
    )


def test_a_file_that_is_named_is_what_is_certified(tmp_path: Path, played: list[list[str]]) -> None:
    firmware = tmp_path / "firmware.bin"
    firmware.write_bytes(b"firmware")
    certify(tmp_path, "--subject", str(firmware))
    payload = json.loads((tmp_path / "out" / "certificate.json").read_text())["payload"]
    assert digests.of_bytes(b"firmware").encode() in b64decode(payload)


def test_whom_nobody_knows_is_said_in_one_line() -> None:
    with pytest.raises(CommandError, match="unknown client 'nobody'"):
        client_subject("nobody", "")
    with pytest.raises(CommandError, match="unknown broker 'nobody'"):
        broker_subject("nobody", "")


def test_the_kits_list_names_code_and_profiles_and_no_leftovers() -> None:
    names = [line.partition("  ")[2] for line in digests.kit_listing().splitlines()]
    assert {"interop/cli.py", "interop/certify/profiles/wills.toml", "reference_broker/wire/decode.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


# --- closed devices ---------------------------------------------------------------------------------------------------


def test_a_device_is_certified_by_what_its_stages_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[object] = []

    def instead(device: Device, stages: object, *_: object) -> list[Record]:
        seen.extend((device.name, device.version, device.listening.host_and_port, stages))
        records = [record("device/connects", client="widget"), record("device/reconnects", client="widget")]
        return [*records, record("device/publishes", Verdict.SETUP_FAILED, client="widget", reason="it did not")]

    monkeypatch.setattr(playing, "run_hands_off", instead)
    files = ["--key", str(tmp_path / "key.pem"), "--out", str(tmp_path / "out"), "--listen", "127.0.0.1:2883"]
    assert main(["certify", "--profile", "device-basic", "--device", "widget 3.1 beta", *files]) == 0
    assert seen[:3] == ["widget", "3.1 beta", "127.0.0.1:2883"]
    assert "  not reached, and so not certified: device/publishes: it did not" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "out" / "certificate.json")]) == 0


def test_where_a_device_cannot_be_waited_for_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--key", str(tmp_path / "key.pem"), "--out", str(tmp_path / "out")]
    given = ["certify", "--profile", "device-basic", "--device", "widget", *files]
    assert main([*given, "--listen", "no:such:place"]) == 2
    assert "--listen" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main([*given, "--listen", str(taken.getsockname()[1])]) == 2
    assert "in use" in capsys.readouterr().err
