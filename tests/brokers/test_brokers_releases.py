"""Another release of a broker: what builds it, what it is called, and what is known of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from interop.brokers.broker import BrokerNotThere
from interop.brokers.registry import broker_spec, shown_name
from interop.brokers.releases import broker_of, release
from interop.building import NotBuildable
from interop.cli import main
from interop.runner.known_failures import load_known_failures


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "source", "asks_for", "known_as"),
    [
        ("mochi@2.6.6", "broker.go", "github.com/mochi-mqtt/server/v2@v2.6.6", "mochi"),
        ("nats-2.15@2.14.10", "broker.go", "github.com/nats-io/nats-server/v2@v2.14.10", "nats"),
        ("moquette@0.16", "Broker.java", "-Drelease.of.broker=0.16", "moquette"),
    ],
)
def test_a_release_is_the_program_that_comes_along_around_another_package(
    name: str, source: str, asks_for: str, known_as: str, own_cache: Path
) -> None:
    found = release(name)
    assert found is not None
    copies, *builds = found.description.build
    assert source in [Path(word).name for word in copies]
    assert asks_for in builds[0]
    assert found.folder.is_relative_to(own_cache)
    assert (found.program.name, found.program.known_as) == (name, known_as)
    assert found.known_failures.is_file()


def test_a_release_that_is_not_built_says_how_to_build_it() -> None:
    with pytest.raises(BrokerNotThere, match=r"not built yet: mqtt-interop adapter build mochi@2\.6\.6"):
        broker_spec("mochi@2.6.6")


@pytest.mark.parametrize("name", ["aedes@0.50.0", "mochi@", "mochi@../../x", "mochi@-r"])
def test_what_there_is_no_other_release_of_is_answered_with_what_there_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotBuildable, match=r"NAME@RELEASE is for mochi, .*nats-2\.15"):
        release(name)
    assert main(["adapter", "build", name]) == 2
    assert "NAME@RELEASE is for" in capsys.readouterr().err


def test_an_address_with_a_login_is_no_release() -> None:
    assert broker_of("mqtt://mochi@127.0.0.1") == "mqtt://mochi@127.0.0.1"
    assert release("user@127.0.0.1:1883") is None
    assert shown_name("mochi@2.6.6") == "mochi@2.6.6"
    assert shown_name("mqtt://mochi:secret@127.0.0.1") == "mqtt://127.0.0.1"


def test_what_is_known_of_a_broker_is_known_of_its_releases_and_no_news_where_it_is_not_so() -> None:
    known = load_known_failures(brokers=["mochi@2.6.6"]).entries
    of_broker = [entry for entry in known if entry.broker == "mochi"]
    of_release = [entry for entry in known if entry.broker == "mochi@2.6.6"]
    inherited = of_release[-len(of_broker) :]  # behind what only that release does
    assert of_broker
    assert [entry.scenarios for entry in inherited] == [entry.scenarios for entry in of_broker]
    assert all(entry.intermittent for entry in inherited)
