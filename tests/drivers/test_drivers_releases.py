"""Another release of a client: what builds it, what starts it, and what is known of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interop.building import releases_folder
from interop.cli import main
from interop.drivers.catalog import BadAdapter
from interop.drivers.choice import Choice
from interop.drivers.registry import UnknownDriver
from interop.drivers.releases import client_of, program
from interop.runner.known_failures import load_known_failures


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "installs", "starts"),
    [
        ("paho@2.1.0", "pip install .* paho-mqtt==2.1.0", "-m interop.drivers.paho"),
        ("aiomqtt@2.0.0", "pip install .* aiomqtt==2.0.0", "/adapters/aiomqtt/adapter.py"),
        ("mqttjs@5.0.0", "npm install .* mqtt@5.0.0", "node /.*/adapters/mqttjs/adapter.js"),
    ],
)
def test_a_release_is_the_shipped_adapter_over_another_package(
    name: str, installs: str, starts: str, own_cache: Path
) -> None:
    found = program(name)
    assert found is not None
    assert re.search(installs, " ".join(found.description.build[0]))
    assert re.search(starts, " ".join(found.description.run))
    assert found.folder.is_relative_to(own_cache)


def test_a_release_that_is_not_built_says_how_to_build_it() -> None:
    with pytest.raises(UnknownDriver, match=r"not built yet: mqtt-interop adapter build paho@2\.1\.0"):
        Choice.of("paho@2.1.0")


def test_a_release_that_is_built_is_a_client_by_its_name() -> None:
    product = releases_folder() / "paho@2.1.0" / "build" / "paho" / "__init__.py"
    product.parent.mkdir(parents=True)
    product.touch()
    assert Choice.of("paho@2.1.0") == Choice("paho@2.1.0", "paho@2.1.0")


@pytest.mark.parametrize("name", ["builtin@0.1.0", "rumqttc@0.20.0", "nobody@1.0", "paho@", "paho@../../x", "paho@-r"])
def test_what_there_is_no_other_release_of_is_answered_with_what_there_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadAdapter, match=r"NAME@RELEASE is for paho, gmqtt, .*aiomqtt"):
        program(name)
    assert main(["adapter", "build", name]) == 2
    assert "NAME@RELEASE is for" in capsys.readouterr().err


def test_what_is_known_of_a_client_is_known_of_its_releases_and_no_news_where_it_is_not_so() -> None:
    known = load_known_failures(clients=["gmqtt@0.7.0", "aiomqtt@2.0.0"]).entries
    for name in ("gmqtt@0.7.0", "aiomqtt@2.0.0"):
        of_client = [entry for entry in known if entry.client == client_of(name)]
        of_release = [entry for entry in known if entry.client == name]
        inherited = of_release[-len(of_client) :]  # behind what only that release does
        assert of_client
        assert [entry.scenarios for entry in inherited] == [entry.scenarios for entry in of_client]
        assert all(entry.intermittent for entry in inherited)
