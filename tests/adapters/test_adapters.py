"""The folder of adapters: what each says of itself is whole, each is short, and what cannot be started says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interop.building import Built, build
from interop.cli import main
from interop.drivers.catalog import ADAPTERS_FOLDER, BadAdapter, adapter_programs
from interop.drivers.choice import Choice
from interop.drivers.registry import UnknownDriver, check_driver_name
from interop.drivers.releases import wanted
from interop.requirements.requirements import VERSIONS
from interop.runner.known_failures import load_known_failures

_SOURCES = {".c", ".go", ".h", ".java", ".js", ".py", ".rs"}
_NOT_OURS = {"build", "node_modules", "target"}
_LIMIT_LINES = 200
_SHARED_CONTAINERS = {each: ADAPTERS_FOLDER / "shared" / f"{each.lower()}.Dockerfile" for each in ("Java", "Python")}

NAMES = sorted(adapter_programs())


def sources() -> list[Path]:
    """Every source file of the folder, without what a build brought."""
    return [
        path
        for path in sorted(ADAPTERS_FOLDER.rglob("*"))
        if path.suffix in _SOURCES and path.is_file() and not _NOT_OURS & set(path.relative_to(ADAPTERS_FOLDER).parts)
    ]


def described(folder: Path, **changes: str) -> Path:
    """A folder of adapters with one, `acme`, built by a copy and started by Python."""
    fields = {
        "name": '"acme"', "language": '"Python"', "package": '"acme"', "version": '"1.0"',
        "upstream": '"https://acme.example"',
        "mqtt": '["3.1.1"]', "independent": "true",
        "needs": '["python3"]', "debian": '"python3"',
        "build": """[["{python}", "-c", "open('built', 'w')"]]""",
        "product": '"built"', "run": '["{python}", "acme.py"]',
    }  # fmt: skip
    (folder / "acme").mkdir(exist_ok=True)
    text = "".join(f"{field} = {value}\n" for field, value in {**fields, **changes}.items() if value)
    (folder / "acme" / "adapter.toml").write_text(text)
    adapter_programs.cache_clear()
    return folder


# --- those that come along --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_has_its_build_pinned_its_container_and_its_known_failures(name: str) -> None:
    program = adapter_programs()[name]
    assert program.description.upstream.startswith("https://")
    assert set(program.description.mqtt) <= set(VERSIONS)
    assert _SHARED_CONTAINERS.get(program.description.language, program.folder / "Dockerfile").exists()
    assert program.known_failures.exists()


@pytest.mark.parametrize("name", NAMES)
def test_known_failures_are_of_this_client_and_say_why(name: str) -> None:
    entries = load_known_failures(adapter_programs()[name].known_failures).entries
    assert all(entry.client == name and entry.reason and entry.rules for entry in entries)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ADAPTERS_FOLDER)))
def test_no_source_file_of_an_adapter_is_longer_than_a_person_reads_at_once(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= _LIMIT_LINES


def test_they_speak_at_least_five_languages() -> None:
    assert len({program.description.language for program in adapter_programs().values()}) >= 5


def test_known_failures_of_an_adapter_are_loaded_with_those_that_ship_and_only_for_it() -> None:
    name = NAMES[0]
    shipped, with_it = load_known_failures().entries, load_known_failures(clients=[name, "paho"]).entries
    assert with_it[: len(shipped)] == shipped
    assert {entry.client for entry in with_it[len(shipped) :]} == {name}


# --- what cannot be used ----------------------------------------------------------------------------------------------


def test_a_name_that_nothing_stands_for_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(UnknownDriver, match=rf"did you mean mqttjs\? expected one of .*\b{NAMES[0]}\b"):
        check_driver_name("mqttjss")
    with pytest.raises(BadAdapter, match=r"there is no adapter 'mqttjss'; expected one of "):
        wanted(["mqttjss"])


@pytest.mark.parametrize("name", NAMES)
def test_nobody_elses_adapter_takes_the_name_of_one_that_ships(name: str) -> None:
    with pytest.raises(UnknownDriver, match="is a client that ships"):
        Choice.of(f"{name}=command:./adapter")


def test_one_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    program = adapter_programs(described(tmp_path))["acme"]
    with pytest.raises(BadAdapter, match=r"acme is not built yet: mqtt-interop adapter build acme"):
        _ = program.command
    assert build(program).failure == ""
    assert program.command == [sys.executable, "acme.py"]


def test_a_toolchain_that_is_missing_is_named_with_the_packages_that_have_it(tmp_path: Path) -> None:
    folder = described(tmp_path, needs='["python3", "no-such-compiler", "no/such.h"]', debian='"acme-dev"')
    program = adapter_programs(folder)["acme"]
    lacking = "no no-such-compiler and no no/such.h (Debian: apt install acme-dev)"
    assert build(program).skipped == lacking
    with pytest.raises(BadAdapter) as caught:
        _ = program.command
    assert str(caught.value) == f"the adapter of acme is not built and cannot be here: {lacking}"


def test_a_build_that_fails_is_told_with_the_end_of_its_output(tmp_path: Path) -> None:
    folder = described(tmp_path, build="""[["{python}", "-c", "raise SystemExit('no such package')"]]""")
    failure = build(adapter_programs(folder)["acme"]).failure
    assert "exit status 1" in failure
    assert failure.endswith("no such package")


def test_a_name_that_a_client_and_a_broker_have_is_built_as_both(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "interop.adapter_check.command.build",
        lambda program: asked.append(f"{program.folder.parent.name}/{program.name}") or Built(),
    )
    assert main(["adapter", "build", "amqtt", "mochi", "zmqtt"]) == 0
    assert sorted(asked) == ["adapters/amqtt", "adapters/zmqtt", "brokers/amqtt", "brokers/mochi"]


def test_a_build_that_brings_nothing_is_a_failure(tmp_path: Path) -> None:
    folder = described(tmp_path, build='[["{python}", "-c", "pass"]]')
    assert build(adapter_programs(folder)["acme"]).failure == "its build brought no built"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"language": ""}, "language: Field required"),
        ({"mqtt": '["4.0"]'}, "mqtt.0: Input should be"),
        ({"name": '"other"'}, "name: 'other' is in the folder 'acme'"),
        ({"name": "other"}, "not TOML"),
        ({"colour": '"red"'}, "colour: Extra inputs"),
    ],
)
def test_what_is_wrong_with_a_description_is_told_with_its_file(
    changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadAdapter) as caught:
        adapter_programs(described(tmp_path, **changes))
    assert str(caught.value).startswith(f"{tmp_path / 'acme' / 'adapter.toml'}: ")
    assert words in str(caught.value)


def test_the_command_line_names_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "build", "mqttjss"]) == 2
    assert "there is no adapter 'mqttjss'" in capsys.readouterr().err


# --- what it consists of ----------------------------------------------------------------------------------------------


def test_a_program_that_was_built_is_all_that_it_consists_of(tmp_path: Path) -> None:
    program = adapter_programs(described(tmp_path, product='"target/acme"', run='["target/acme"]'))["acme"]
    binary = program.folder / "target" / "acme"
    binary.parent.mkdir()
    binary.write_bytes(b"\x7fELF")
    (binary.parent / "acme.o").write_bytes(b"left by the build")
    binary.chmod(0o755)
    assert program.parts == {"acme": binary}


def test_a_library_and_what_drives_it_are_what_it_consists_of(tmp_path: Path) -> None:
    program = adapter_programs(described(tmp_path, product='"lib/acme/index.js"', run='["node", "acme.js"]'))["acme"]
    library = program.folder / "lib" / "acme"
    library.mkdir(parents=True)
    for file in (program.folder / "acme.js", library / "index.js", library / "more.js", program.folder / "notes.txt"):
        file.write_text(file.name)
    assert sorted(program.parts) == ["acme.js", "lib/acme/index.js", "lib/acme/more.js"]
