"""What reading a scenario file gave is kept for the next process, and relied on only where it is what reading gives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from scenario_files import RIGHT, save

import interop
from interop.scenario import kept, lint, load
from interop.scenario.load import Heading, LoadedScenario, load_file
from interop.scenario.yaml12 import Document, Where

pytestmark = pytest.mark.usefixtures("own_cache")

Reads = list[Path]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The files whose YAML was read."""
    seen: Reads = []

    def read(path: Path, text: str, as_usual: Callable[[Path, str], Document] = load.read) -> Document:
        seen.append(path)
        return as_usual(path, text)

    monkeypatch.setattr(load, "read", read)
    return seen


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a collection that ships."""
    monkeypatch.setattr(load, "DEFAULT_FOLDER", tmp_path / "scenarios")
    return save(tmp_path / "scenarios", RIGHT)


def _said(one: LoadedScenario) -> list[object]:
    given = [getattr(one, each.name) for each in fields(one) if each.name not in ("document", "read_scenario")]
    return [*given, one.scenario.model_dump(exclude_unset=True), one.document()]


def test_what_was_kept_of_the_collection_is_what_its_files_say(reads: Reads) -> None:
    files = sorted(load.DEFAULT_FOLDER.rglob("*.yaml"))
    as_read = [one for file in files for one in load_file(file)]
    assert reads == files
    assert [one.heading for one in as_read] == [Heading.of(one.scenario) for one in as_read]
    reads.clear()
    as_kept = [one for file in files for one in load_file(file)]
    assert reads == []
    assert list(map(_said, as_kept)) == list(map(_said, as_read))


def test_a_file_that_changed_is_read(shipped: Path, reads: Reads) -> None:
    load_file(shipped)
    shipped.write_text(RIGHT.replace("A message arrives", "It does"), encoding="utf-8")
    assert load_file(shipped)[0].scenario.title == "It does"
    assert len(reads) == 2


def test_what_other_code_kept_is_not_found(shipped: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    load_file(shipped)
    monkeypatch.setattr(kept, "_code", lambda: "other")
    load_file(shipped)
    assert len(reads) == 2


@pytest.mark.parametrize(
    "harm",
    [
        lambda whole: b"",
        lambda whole: whole[:-1],
        lambda whole: whole.replace(b"A message arrives", b"A message is lost"),
        lambda whole: whole + b"\xff",
        lambda whole: b"\0" * len(whole),
    ],
)
def test_what_is_not_whole_or_was_changed_is_read_anew_and_kept_again(
    shipped: Path, reads: Reads, harm: Callable[[bytes], bytes]
) -> None:
    load_file(shipped)
    [file] = kept.folder().iterdir()
    file.write_bytes(harm(file.read_bytes()))
    assert load_file(shipped)[0].scenario.title == "A message arrives"
    load_file(shipped)
    assert len(reads) == 2


def test_where_nothing_can_be_kept_files_are_read(shipped: Path, reads: Reads, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    assert [len(load_file(shipped)), len(load_file(shipped))] == [1, 1]
    assert len(reads) == 2


def test_what_cannot_be_put_in_its_place_leaves_nothing_behind(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_room(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "replace", no_room)
    assert len(load_file(shipped)) == 1
    assert list(kept.folder().iterdir()) == []


def test_of_somebodys_own_scenarios_nothing_is_kept(tmp_path: Path) -> None:
    load_file(save(tmp_path, RIGHT))
    assert not kept.folder().exists()


def test_what_no_code_has_used_for_long_goes_when_other_code_begins(shipped: Path) -> None:
    old, recent = (kept.folder().with_name(name) for name in ("old", "recent"))
    for each in (old, recent):
        each.mkdir(parents=True)
    os.utime(old, (0, 0))
    load_file(shipped)
    assert (old.exists(), recent.exists()) == (False, True)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scenarios that were checked by the rules, one of which stands for all."""
    seen: list[str] = []

    def look(one: LoadedScenario) -> Iterator[tuple[Where, str]]:
        seen.append(one.name)
        if "wrong" in one.scenario.title:
            yield ("title",), "wrong"

    monkeypatch.setattr(lint, "RULES", (look,))
    return seen


def test_a_file_found_right_is_not_checked_again_before_it_changes(shipped: Path, looked: list[str]) -> None:
    assert lint.lint(load_file(shipped)) == []
    assert lint.lint(load_file(shipped)) == []
    assert len(looked) == 1
    shipped.write_text(RIGHT.replace("A message arrives", "It does"), encoding="utf-8")
    assert lint.lint(load_file(shipped)) == []
    assert len(looked) == 2


def test_what_was_found_wrong_is_found_again(shipped: Path, looked: list[str]) -> None:
    shipped.write_text(RIGHT.replace("A message arrives", "This is wrong"), encoding="utf-8")
    first = lint.lint(load_file(shipped))
    assert [problem.message for problem in first] == ["wrong"]
    assert lint.lint(load_file(shipped)) == first
    assert len(looked) == 2


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0123"])
def test_a_file_is_checked_where_it_is_not_known_to_be_right(shipped: Path, looked: list[str], content: bytes) -> None:
    lint.lint(load_file(shipped))
    (kept.folder() / "clean").write_bytes(content)
    lint.lint(load_file(shipped))
    lint.lint(load_file(shipped))
    assert len(looked) == 2


def test_the_name_of_a_file_is_checked_though_its_text_was_found_right(shipped: Path, looked: list[str]) -> None:
    lint.lint(load_file(shipped))
    moved = shipped.rename(shipped.with_name("No-Snake.yaml"))
    assert [problem.message for problem in lint.lint(load_file(moved))] == [
        "the name 'No-Snake' is not in lower_snake_case"
    ]
    assert len(looked) == 1


@pytest.mark.parametrize("module", ["load", "lint"])
def test_all_code_that_reading_takes_decides_about_what_was_kept(module: str) -> None:
    listing = f"import sys, interop.scenario.{module}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout
    house = Path(interop.__path__[0]).parent
    folders = {"interop", "interop.requirements", "interop.scenario", "reference_broker", "reference_broker.wire"}
    modules = {name for name in told.split() if name.startswith(("interop", "reference_broker"))} - folders
    files = {house / f"{name.replace('.', '/')}.py" for name in modules}
    assert {file for file in files if file.parent not in kept.CODE} == {house / "interop/user_cache.py"}
