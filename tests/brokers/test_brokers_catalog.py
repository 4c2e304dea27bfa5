"""The folder of brokers: what each says of itself is whole, and what is started is what was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

import pytest

from interop.brokers.broker import BrokerNotThere
from interop.brokers.catalog import BROKERS_FOLDER, BuiltBroker, built_brokers
from interop.brokers.process import ProcessSpec, Wish
from interop.brokers.registry import BROKERS
from interop.building import NotBuildable, build
from interop.cli import main
from interop.runner.known_failures import load_known_failures
from reference_broker.broker.values.config import BrokerConfig
from reference_broker.net.address import Transport

_SOURCES = {".go", ".java", ".js", ".py"}
_NOT_OURS = {"build", "node_modules", "target"}
_LIMIT_LINES = 200

NAMES = sorted(built_brokers())

LISTENER = """
import json, socket, sys
wish = json.load(open(sys.argv[1]))
listening = socket.create_server((wish["host"], wish["port"]))
while True:
    listening.accept()[0].close()
"""


def described(folder: Path, **changes: str) -> BuiltBroker:
    """A folder of brokers with one, `acme`, built by a copy and started by Python."""
    fields = {
        "name": '"acme"', "language": '"Python"', "package": '"acme"', "version": '"1.0"',
        "upstream": '"https://acme.example"', "mqtt": '["3.1.1"]', "needs": '["python3"]', "debian": '"python3"',
        "build": """[["{python}", "-c", "open('built', 'w')"]]""", "product": '"built"',
        "run": '["{python}", "{here}/acme.py", "{folder}/wish.json"]',
        "settings": '["maximum_qos"]', "unsupported": '["auth"]',
    }  # fmt: skip
    (folder / "acme").mkdir(exist_ok=True)
    (folder / "acme" / "acme.py").write_text(LISTENER)
    text = "".join(f"{field} = {value}\n" for field, value in {**fields, **changes}.items())
    (folder / "acme" / "broker.toml").write_text(text)
    built_brokers.cache_clear()
    return built_brokers(folder)["acme"]


# --- those that come along --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_asked_for_by_name_with_settings_that_there_are(name: str) -> None:
    broker = built_brokers()[name]
    assert name in BROKERS
    assert broker.description.upstream.startswith("https://")
    assert set(broker.description.settings) <= set(BrokerConfig.__dataclass_fields__)


@pytest.mark.parametrize("name", NAMES)
def test_known_failures_are_of_this_broker_say_why_and_are_loaded_with_it_only(name: str) -> None:
    entries = load_known_failures(built_brokers()[name].known_failures).entries
    assert all(entry.broker == name and entry.reason and entry.rules for entry in entries)
    shipped = len(load_known_failures().entries)
    assert load_known_failures(brokers=[name, "mosquitto"]).entries[shipped:] == entries


def test_no_program_of_ours_is_longer_than_a_person_reads_at_once() -> None:
    ours = [
        path
        for path in BROKERS_FOLDER.rglob("*")
        if path.suffix in _SOURCES and not _NOT_OURS & set(path.relative_to(BROKERS_FOLDER).parts)
    ]
    assert ours
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= _LIMIT_LINES for path in ours)


# --- what is started --------------------------------------------------------------------------------------------------


def test_one_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    broker = described(tmp_path)
    spec = ProcessSpec(broker.program)
    with pytest.raises(BrokerNotThere, match=r"acme is not built yet: mqtt-interop adapter build acme"):
        spec.check()
    assert build(broker).failure == ""
    spec.check()


def test_one_whose_toolchain_is_missing_says_so(tmp_path: Path) -> None:
    broker = described(tmp_path, needs='["no-such-compiler"]', debian='"acme-dev"')
    with pytest.raises(BrokerNotThere, match=r"acme is not built and cannot be here: no no-such-compiler"):
        ProcessSpec(broker.program).check()


def test_the_program_is_told_where_to_listen_and_which_settings(tmp_path: Path) -> None:
    program = described(tmp_path).program
    assert (program.executable, program.arguments[0]) == (sys.executable, str(tmp_path / "acme" / "acme.py"))
    wish = Wish(1883, Transport.TCP, {"maximum_qos": 1}, tmp_path, None, persistent=True)
    program.configure(wish)
    told = json.loads((tmp_path / "wish.json").read_text())
    assert told == {
        "host": "127.0.0.1", "port": 1883, "transport": "tcp", "settings": {"maximum_qos": 1},
        "folder": str(tmp_path), "persistent": True,
    }  # fmt: skip


def test_it_runs_with_its_version_and_features_and_is_known_by_the_files_it_consists_of(tmp_path: Path) -> None:
    broker = described(tmp_path)
    build(broker)

    async def main() -> None:
        spec = ProcessSpec(broker.program)
        running = await spec.start({"maximum_qos": 1})
        try:
            assert running.version == "1.0"
            assert (spec.versions, spec.unsupported, spec.settings) == (("3.1.1",), ("auth",), {"maximum_qos"})
        finally:
            await running.stop()
        digest = hashlib.sha256(LISTENER.encode()).hexdigest()
        assert spec.digests()["acme.py"] == digest

    asyncio.run(main())


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unsupported": '["flying"]'}, "there is no feature 'flying'"),
        ({"transports": '["udp"]'}, "transports.0: Input should be"),
        ({"name": '"other"'}, "'other' is in the folder 'acme'"),
    ],
)
def test_what_is_wrong_with_a_description_is_told(changes: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(NotBuildable, match=words):
        described(tmp_path, **changes)


def test_only_names_that_there_are_can_be_built(capsys: pytest.CaptureFixture[str]) -> None:
    built_brokers.cache_clear()
    assert main(["adapter", "build", "--brokers", "mqttjs"]) == 2
    assert "there is no broker 'mqttjs' to build" in capsys.readouterr().err
    assert main(["adapter", "build", "no-such-thing"]) == 2
    assert "there is no adapter 'no-such-thing'" in capsys.readouterr().err
