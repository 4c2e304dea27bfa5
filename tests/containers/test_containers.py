"""Containers are labelled, listened to from their first word, and removed; what is inside is as good as outside."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import socket
import subprocess
import sys
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from containers_engine import DIGEST, FakeContainer, FakeEngine, ends_at_once, ends_before_hello, is_the_minimal_adapter

from interop.brokers.broker import BrokerFault, BrokerNotThere
from interop.brokers.container import ContainerSpec
from interop.brokers.reference import ReferenceSpec
from interop.brokers.registry import broker_spec
from interop.containers import guard
from interop.containers.container import LABEL, OwnContainer, repository
from interop.drivers.choice import Choice, UnusableClient, chosen_clients
from interop.drivers.driver import DriverCrashed
from interop.drivers.pool import DriverPool
from interop.drivers.registry import DriverStarter, UnknownDriver
from reference_broker.net.address import Transport

BROKER = "docker:acme/it:1"
OWN_LABEL = {LABEL: f"{socket.gethostname()}/{os.getpid()}"}
WAIT_SECONDS = 10.0


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await main

    return asyncio.run(bounded())


def own(engine: FakeEngine, **options: Any) -> OwnContainer:
    return OwnContainer("acme/it:1", take=lambda *_: None, **options)


# --- the life of one --------------------------------------------------------------------------------------------------


def test_the_guard_knows_before_there_is_a_container_and_it_is_listened_to_before_it_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(monkeypatch)
    container = own(engine)
    assert engine.did == [f"{LABEL}={OWN_LABEL[LABEL]}", "create", "attach", "start"]
    container.remove()
    container.remove()
    assert engine.did.count("remove") == 1
    assert container.ended.wait(WAIT_SECONDS)


def test_one_that_is_forgotten_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(monkeypatch, plays=ends_at_once)
    assert own(engine).ended.wait(WAIT_SECONDS)
    for _ in range(100):  # its thread may hold it for another moment
        gc.collect()
        if "remove" in engine.did:
            break
        os.sched_yield()
    assert engine.did[-1] == "remove"


def test_one_that_cannot_be_started_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: FakeContainer) -> None:
        raise OSError("no room")

    engine = FakeEngine(monkeypatch, plays=refuse)
    with pytest.raises(OSError, match="no room"):
        own(engine)
    assert engine.did[-1] == "remove"


def test_what_dead_processes_of_this_machine_left_goes_with_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    engine = FakeEngine(monkeypatch)
    owners = (f"{socket.gethostname()}/{dead.pid}", f"{socket.gethostname()}/{os.getpid()}", f"elsewhere/{dead.pid}")
    removed: list[str] = []

    class Left(FakeContainer):
        def remove(self, **_: Any) -> None:
            removed.append(self.labels[LABEL])

    engine.left = [Left(engine, {LABEL: owner}, lambda _: None) for owner in owners]
    own(engine).remove()
    assert removed == [owners[0]]


@pytest.mark.parametrize(
    ("pulled", "digest"), [((), DIGEST), (("acme/it@sha256:12", "mirror/it@sha256:12"), "sha256:12")]
)
def test_the_digest_is_the_registrys_or_where_it_was_built_here_the_engines(
    pulled: tuple[str, ...], digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = own(FakeEngine(monkeypatch, repo_digests=pulled))
    assert container.version == f"2.0.99, {digest}"
    container.remove()


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (137, -9)])
def test_an_end_by_a_signal_is_told_from_one_with_a_code(
    code: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = own(FakeEngine(monkeypatch, plays=lambda container: container.end(code)))
    assert container.ended.wait(WAIT_SECONDS)
    assert container.status == status
    container.remove()


def test_one_that_has_ended_takes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    container = own(FakeEngine(monkeypatch, plays=ends_at_once))
    assert container.ended.wait(WAIT_SECONDS)
    for say in (lambda: container.write(b"hello\n"), container.end_input):
        with pytest.raises(OSError, match="Bad file descriptor"):
            say()
    container.remove()


@pytest.mark.parametrize(
    "image", ["localhost:5000/acme/it", "localhost:5000/acme/it:1", "localhost:5000/acme/it:1@sha256:12"]
)
def test_an_image_is_known_by_its_name_without_tag_and_digest(image: str) -> None:
    assert repository(image) == "localhost:5000/acme/it"


# --- brokers ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the docker package leaves its socket
def test_no_container_engine_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///no/such/engine.sock")
    with pytest.raises(BrokerNotThere) as caught:
        broker_spec(BROKER)
    text = str(caught.value)
    del caught
    gc.collect()
    assert text == f"{BROKER} needs a container engine: none answers (no such file or directory)"


@pytest.mark.usefixtures("on_both_loops")
def test_a_broker_is_started_once_mapped_to_loopback_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        inside = await ReferenceSpec().start({})
        engine = FakeEngine(monkeypatch, port=inside.address().port)
        spec = broker_spec(BROKER)
        first, second = await asyncio.gather(spec.start({}), spec.start({}))
        assert first.address() == second.address() == inside.address()
        assert (first.name, first.version) == (BROKER, f"2.0.99, {DIGEST}")
        [(image, command, options)] = engine.created
        assert (image, command) == ("acme/it:1", None)
        assert options["ports"] == {"1883/tcp": ("127.0.0.1", 0)}
        assert options["labels"] == OWN_LABEL
        with pytest.raises(BrokerFault, match="reached by tcp only"):
            await spec.start({}, transport=Transport.TLS)
        await first.stop()
        assert "remove" not in engine.did
        await spec.close()
        assert engine.did[-1] == "remove"
        await inside.stop()

    run(main())


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("eclipse-mosquitto:2", ["mosquitto", "-c", "/mosquitto-no-auth.conf"]),  # it listens to itself only otherwise
        ("mqtt-interop@sha256:12", ["broker", "--host", "0.0.0.0", "--allow-anonymous"]),
    ],
)
def test_images_that_let_in_nobody_are_told_to(image: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(monkeypatch, plays=ends_at_once)
    monkeypatch.setattr(engine, "get", lambda _: None)
    with pytest.raises(BrokerNotThere):
        run(ContainerSpec(image).start({}))
    [(_, command, _)] = engine.created
    assert command == words


def test_a_broker_that_ends_is_told_with_its_last_words_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(monkeypatch, plays=ends_at_once)
    with pytest.raises(BrokerNotThere, match=f"{BROKER} ended: out of cheese"):
        run(broker_spec(BROKER).start({}))
    assert engine.did[-1] == "remove"


def test_an_image_that_is_not_there_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine(monkeypatch)
    with pytest.raises(BrokerNotThere, match="has no image 'emqx/emqx:5'; pull or build it first"):
        broker_spec("docker:emqx/emqx:5")


def test_an_image_has_the_digest_its_engine_calls_it_by(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine(monkeypatch)
    assert broker_spec(BROKER).digests() == {"acme/it:1": "ab" * 32}


# --- adapters ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("on_both_loops")
def test_an_adapter_is_spoken_to_on_the_hosts_network_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        engine = FakeEngine(monkeypatch, plays=is_the_minimal_adapter)
        clients = await chosen_clients([f"mine={BROKER}"])
        assert clients == {"mine": BROKER}
        pool = DriverPool(starter=DriverStarter(clients))
        driver = await pool.acquire("mine")
        assert driver.hello.client
        assert driver.made_of == f"{BROKER} {DIGEST}"
        await pool.close()
        for _, _, options in engine.created:
            assert (options["network_mode"], options["stdin_open"]) == ("host", True)
            assert options["labels"] == OWN_LABEL
        assert engine.did.count("remove") == engine.did.count("create") == 2  # one was asked who it is

    run(main())


@pytest.mark.usefixtures("on_both_loops")
def test_an_adapter_that_ends_is_told_with_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine(monkeypatch, plays=ends_before_hello)
    with pytest.raises(UnusableClient) as caught:
        run(chosen_clients([f"mine={BROKER}"]))
    said = str(caught.value)
    assert "out of cheese" in said
    assert said.endswith("mqtt-interop adapter check -- docker run -i --rm --network host acme/it:1")


def test_an_adapters_image_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeEngine(monkeypatch)
    with pytest.raises(DriverCrashed, match="has no image 'other'; pull or build it first"):
        run(DriverPool(starter=DriverStarter({"mine": "docker:other"})).acquire("mine"))


def test_an_image_may_be_named_or_say_its_name_itself() -> None:
    assert Choice.of(f"mine={BROKER}") == Choice("mine", BROKER)
    assert Choice.of(BROKER) == Choice("", BROKER)
    for text in ("docker:", "mine=docker:"):
        with pytest.raises(UnknownDriver, match="names no image"):
            Choice.of(text)


# --- the guard --------------------------------------------------------------------------------------------------------


def test_the_guard_removes_what_its_owner_left_and_what_is_made_a_little_later(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(monkeypatch)
    late = [FakeContainer(engine, {}, lambda _: None) for _ in range(2)]
    asked: list[Any] = []

    def look(**options: Any) -> list[FakeContainer]:
        asked.append(options["filters"])
        return [late.pop()] if late else []

    monkeypatch.setattr(engine, "list", look)
    monkeypatch.setattr(guard, "time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{LABEL}=here/1\n" * 2))
    guard.main()
    assert engine.did == ["remove", "remove"]
    assert asked == [{"label": f"{LABEL}=here/1"}] * 3
