"""Adapters that break in every way a process can: each is reported, none outlives its driver."""

from __future__ import annotations

import asyncio
import socket
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable

import pytest

from interop.drivers import contract, driver, process
from interop.drivers.child import start_program
from interop.drivers.driver import Driver, DriverCrashed, DriverFault, DriverHung, DriverRubbish
from interop.drivers.process import ProcessDriver

pytestmark = pytest.mark.usefixtures("on_both_loops")

PREAMBLE = """
import json, os, signal, subprocess, sys

def say(**event):
    print(json.dumps(event), flush=True)

def polite(command):
    verb, number = command["do"], command["id"]
    if verb == "hello":
        say(id=number, event="hello", contract=1, client="tiny", version="1", mqtt=["3.1.1"])
    elif verb == "reset":
        say(id=number, event="ready")
    elif verb == "exit":
        say(id=number, event="bye")
        sys.exit()
    else:
        say(id=number, event="error", error="unsupported")

def commands():
    for line in sys.stdin:
        yield json.loads(line)
"""

POLITE = """
for command in commands():
    polite(command)
"""

TIMEOUT_SECONDS = 5.0
SOON_SECONDS = 0.1


async def start(body: str) -> ProcessDriver:
    # -S: no site-packages, which makes it start in 20 ms
    return await ProcessDriver.start("tiny", [sys.executable, "-S", "-c", PREAMBLE + textwrap.dedent(body)])


def with_driver(body: str, use: Callable[[ProcessDriver], Awaitable[None]]) -> None:
    """Start an adapter, use it, close it."""

    async def main() -> None:
        adapter = await start(body)
        try:
            await use(adapter)
        finally:
            await adapter.close()
        assert adapter.exit_status is not None

    asyncio.run(asyncio.wait_for(main(), 20))


def start_fails(body: str, kind: type[DriverFault], text: str) -> DriverFault:
    with pytest.raises(kind, match=text) as caught:
        asyncio.run(start(body))
    return caught.value


async def drop(adapter: Driver, timeout_seconds: float = TIMEOUT_SECONDS) -> contract.AnyEvent:
    return await adapter.request(contract.Drop(id=adapter.next_id()), timeout_seconds)


# --- starting ---------------------------------------------------------------------------------------------------------


def test_a_polite_adapter_is_introduced_probed_and_leaves_when_asked() -> None:
    async def use(adapter: ProcessDriver) -> None:
        assert adapter.hello.client == "tiny"
        assert adapter.hello.mqtt == ("3.1.1",)
        answer = await drop(adapter)
        assert isinstance(answer, contract.ErrorEvent)
        await adapter.close()
        assert adapter.exit_status == 0

    with_driver(POLITE, use)


def test_a_program_that_is_not_there_is_one_line() -> None:
    with pytest.raises(DriverCrashed, match=r"cannot start \./no-such-adapter: No such file"):
        asyncio.run(ProcessDriver.start("ghost", ["./no-such-adapter"]))


def test_a_crash_at_hello_is_told_with_exit_status_and_log() -> None:
    fault = start_fails("sys.exit('there is no such library')", DriverCrashed, "exit status 1")
    assert "there is no such library" in fault.log


def test_silence_at_hello_is_a_hung_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "START_SECONDS", SOON_SECONDS)
    began = time.monotonic()
    start_fails("signal.pause()", DriverHung, r"did not answer `hello` within 0\.1 s")
    assert time.monotonic() - began < process.GOODBYE_SECONDS  # killed, not asked


def test_another_version_of_the_contract_is_refused() -> None:
    start_fails(
        'say(id=1, event="hello", contract=2, client="x", version="1", mqtt=["5.0"]); signal.pause()',
        DriverRubbish,
        "speaks contract 2",
    )


def test_an_adapter_that_pretends_to_know_every_verb_is_refused() -> None:
    body = """
    for command in commands():
        if command["do"].startswith("verb-"):
            say(id=command["id"], event="ready")
        else:
            polite(command)
    """
    start_fails(body, DriverRubbish, "answered `verb-.*` with `ready`")


def test_an_adapter_that_calls_an_unknown_verb_a_failure_is_refused() -> None:
    body = """
    for command in commands():
        if command["do"] == "hello":
            polite(command)
        else:
            say(id=command["id"], event="error", error="failed")
    """
    start_fails(body, DriverRubbish, "did not answer `unsupported` to a made-up verb")


# --- breaking under way -----------------------------------------------------------------------------------------------

BREAKS = [
    ('sys.stderr.write("out of cheese"); sys.stderr.flush(); os._exit(3)', DriverCrashed, "exit status 3"),
    ("os.kill(os.getpid(), signal.SIGKILL)", DriverCrashed, "ended by SIGKILL"),
    ("os.close(1); signal.pause()", DriverCrashed, "closed its standard output"),
    ('print("Hello, world!", flush=True)', DriverRubbish, "no event of the contract.*Hello, world!"),
    ('os.write(1, b"\\xff\\xfe\\n")', DriverRubbish, "no event of the contract"),
    ('say(id=command["id"] + 1000, event="dropped")', DriverRubbish, "which waits for no answer"),
    ('say(id=command["id"], event="ready")', DriverRubbish, "answered `drop` with `ready`"),
    ('say(event="dropped")', DriverRubbish, "sent `dropped` without an id"),
    ('say(event="error", error="failed", detail="what?")', DriverRubbish, "could not read a command: what\\?"),
]


@pytest.mark.parametrize(("how", "kind", "text"), BREAKS)
def test_what_breaks_fails_the_request_and_every_later_one(how: str, kind: type[DriverFault], text: str) -> None:
    body = f"""
    for command in commands():
        if command["do"] == "drop":
            {how}
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        with pytest.raises(kind, match=text) as first:
            await drop(adapter)
        with pytest.raises(kind) as second:
            await drop(adapter)
        assert first.value is second.value is adapter.fault

    with_driver(body, use)


def test_a_crash_brings_the_log() -> None:
    async def use(adapter: ProcessDriver) -> None:
        with pytest.raises(DriverCrashed) as caught:
            await drop(adapter)
        assert caught.value.log == "out of cheese"

    body = """
    for command in commands():
        if command["do"] == "drop":
            sys.stderr.write("out of cheese")
            sys.exit(3)
        polite(command)
    """
    with_driver(body, use)


def test_a_command_that_nobody_can_read_any_more_is_told_as_any_other_that_is_not_answered() -> None:
    body = """
    for command in commands():
        if command["do"] == "drop":
            os.close(0)
            say(id=command["id"], event="dropped")
            signal.pause()
        polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        await drop(adapter)
        while not adapter._input.is_closing():  # a pipe may be found broken only when it is written to
            adapter._write(b"\n")
            await asyncio.sleep(0)
        with pytest.raises(DriverHung):
            await drop(adapter, SOON_SECONDS)

    with_driver(body, use)


def test_an_answer_given_twice_is_rubbish() -> None:
    body = """
    for command in commands():
        if command["do"] == "drop":
            say(id=command["id"], event="dropped")
            say(id=command["id"], event="dropped")
        polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        await drop(adapter)
        with pytest.raises(DriverRubbish, match="waits for no answer"):
            await drop(adapter)

    with_driver(body, use)


def test_a_line_without_end_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LINE_LIMIT_BYTES", 10_000)

    async def use(adapter: ProcessDriver) -> None:
        with pytest.raises(DriverRubbish, match="a line of more than 10000 bytes"):
            await drop(adapter)

    with_driver(
        POLITE.replace("polite(command)", "polite(command) if command['do'] != 'drop' else say(event='x' * 99999)"), use
    )


def test_a_late_answer_is_dropped_and_the_driver_stays_good() -> None:
    body = """
    held = []
    for command in commands():
        if command["do"] == "publish":
            held.append(command["id"])
        elif command["do"] == "drop":
            for number in held:
                say(id=number, event="published")
            say(id=command["id"], event="dropped")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        with pytest.raises(DriverHung, match=r"did not answer `publish` within 0\.1 s"):
            await adapter.request(contract.Publish(id=adapter.next_id(), topic="t"), SOON_SECONDS)
        assert isinstance(await drop(adapter), contract.Dropped)
        assert adapter.fault is None

    with_driver(body, use)


def test_a_hang_is_found_by_reset_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "RESET_SECONDS", SOON_SECONDS)
    body = """
    for command in commands():
        if command["do"] == "drop":
            signal.pause()
        polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        with pytest.raises(DriverHung):
            await drop(adapter, SOON_SECONDS)
        with pytest.raises(DriverHung, match="did not answer `reset`"):
            await adapter.reset()
        assert isinstance(adapter.fault, DriverHung)
        began = time.monotonic()
        await adapter.close()
        assert time.monotonic() - began < process.GOODBYE_SECONDS

    with_driver(body, use)


def test_an_adapter_that_does_not_leave_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GOODBYE_SECONDS", SOON_SECONDS)
    body = """
    for command in commands():
        polite(command) if command["do"] != "exit" else signal.pause()
    """

    async def use(adapter: ProcessDriver) -> None:
        await adapter.close()
        assert adapter.exit_status == -9

    with_driver(body, use)


def test_a_close_that_is_cut_short_ends_the_adapter_all_the_same() -> None:
    body = """
    for command in commands():
        polite(command) if command["do"] != "exit" else signal.pause()
    """

    async def use(adapter: ProcessDriver) -> None:
        closing = asyncio.create_task(adapter.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        assert await adapter._child.wait(TIMEOUT_SECONDS) == -9
        assert await asyncio.wait_for(asyncio.gather(*adapter._readers, return_exceptions=True), TIMEOUT_SECONDS)

    with_driver(body, use)


@pytest.mark.parametrize("passes", range(1, 6))
def test_a_start_that_is_cut_short_leaves_no_pipe_open(passes: int) -> None:
    async def main() -> list[bool]:
        child = start_program([sys.executable, "-S", "-c", PREAMBLE + POLITE])
        adopting = asyncio.create_task(ProcessDriver.adopt("tiny", child))
        for _ in range(passes):  # of the loop: so far it comes
            await asyncio.sleep(0)
        adopting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adopting
        await asyncio.sleep(0)
        return [pipe.closed for pipe in (child.stdin, child.stdout, child.stderr)]

    assert asyncio.run(main()) == [True] * 3


def test_what_an_adapter_started_ends_with_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = f"import socket, signal; s = socket.create_connection({listener.getsockname()!r}); signal.pause()"
        body = f"""
        subprocess.Popen([sys.executable, "-S", "-c", {child!r}])
        for command in commands():
            if command["do"] == "drop":
                os._exit(1)
            polite(command)
        """
        accepted: list[socket.socket] = []

        async def use(adapter: ProcessDriver) -> None:
            accepted.append((await asyncio.to_thread(listener.accept))[0])
            with pytest.raises(DriverCrashed, match="exit status 1"):  # although its child holds the pipes open
                await drop(adapter, SOON_SECONDS)

        with_driver(body, use)
        with accepted[0] as alive:
            alive.settimeout(TIMEOUT_SECONDS)
            assert alive.recv(1) == b""


def test_commands_overlap() -> None:
    body = """
    first = None
    for command in commands():
        if command["do"] == "publish":
            first = command["id"]
        elif command["do"] == "drop":
            say(id=command["id"], event="dropped")
            say(id=first, event="published")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        publish = asyncio.create_task(
            adapter.request(contract.Publish(id=adapter.next_id(), topic="t"), TIMEOUT_SECONDS)
        )
        await asyncio.sleep(0)
        assert isinstance(await drop(adapter), contract.Dropped)
        assert isinstance(await publish, contract.Published)

    with_driver(body, use)


# --- events, log, reset -----------------------------------------------------------------------------------------------


def test_events_keep_their_order_and_the_time_they_came() -> None:
    body = """
    for command in commands():
        if command["do"] == "publish":
            for number in (1, 2, 3):
                say(event="message", message=number, topic="t", payload="")
            say(event="disconnected", by="network")
            say(id=command["id"], event="published")
        elif command["do"] == "connect":
            say(id=command["id"], event="connected")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        await adapter.request(contract.Connect(id=adapter.next_id(), mqtt="3.1.1", port=1), TIMEOUT_SECONDS)
        began = time.monotonic()
        await adapter.request(contract.Publish(id=adapter.next_id(), topic="t", payload=b"", qos=0), TIMEOUT_SECONDS)
        events = [adapter.events.get_nowait() for _ in range(4)]
        assert [getattr(event, "message", event.event) for _, event in events] == [1, 2, 3, "disconnected"]
        times = [at for at, _ in events]
        assert began <= times[0] <= times[-1] <= time.monotonic()
        assert times == sorted(times)

    with_driver(body, use)


def test_an_adapter_that_floods_events_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "UNREAD_EVENTS_LIMIT", 10)
    body = """
    for command in commands():
        if command["do"] == "drop":
            while True:
                say(event="message", message=1, topic="t", payload="")
        polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        with pytest.raises(DriverRubbish, match="more than 10 events nobody read"):
            await drop(adapter)

    with_driver(body, use)


def test_a_flooded_log_holds_nothing_up_and_keeps_its_end() -> None:
    body = """
    for command in commands():
        if command["do"] == "drop":
            for _ in range(200):
                sys.stderr.write("x" * 9999 + "\\n")
            sys.stderr.write("the end")
            sys.stderr.flush()
            say(id=command["id"], event="dropped")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        await drop(adapter)
        for _ in range(1000):  # two pipes have no order between them
            if adapter.log.endswith("the end"):
                break
            await adapter.request(contract.Hello(id=adapter.next_id()), TIMEOUT_SECONDS)
        assert adapter.log.endswith("the end")
        assert len(adapter.log) <= process.LOG_LIMIT_BYTES
        await adapter.reset()
        assert adapter.log == ""

    with_driver(body, use)


def test_reset_forgets_events_and_cuts_off_what_waits() -> None:
    body = """
    for command in commands():
        if command["do"] == "publish":
            say(event="message", message=1, topic="t", payload="")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        publish = asyncio.create_task(
            adapter.request(contract.Publish(id=adapter.next_id(), topic="t"), TIMEOUT_SECONDS)
        )
        await asyncio.sleep(0)
        await drop(adapter)
        assert adapter.events.qsize() == 1
        await adapter.reset()
        assert adapter.events.empty()
        answer = await publish
        assert isinstance(answer, contract.ErrorEvent)
        assert answer.error == "cut-off"

    with_driver(body, use)


def test_an_end_of_the_connection_is_told_once_and_not_where_it_was_asked_for() -> None:
    body = """
    for command in commands():
        if command["do"] == "connect":
            say(event="disconnected", by="broker")
            say(id=command["id"], event="connected")
        elif command["do"] == "ack":
            say(event="disconnected", by="network")
            say(event="disconnected", by="network")
            say(id=command["id"], event="acked")
        elif command["do"] == "drop":
            say(event="disconnected", by="client")
            say(id=command["id"], event="dropped")
            say(event="disconnected", by="client")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        async def connect() -> None:
            await adapter.request(contract.Connect(id=adapter.next_id(), mqtt="3.1.1", port=1), TIMEOUT_SECONDS)

        await connect()
        await drop(adapter)
        await connect()
        await adapter.request(contract.Ack(id=adapter.next_id(), message=1), TIMEOUT_SECONDS)
        told = [event for _, event in (adapter.events.get_nowait() for _ in range(adapter.events.qsize()))]
        assert told == [contract.Disconnected(by="network")]

    with_driver(body, use)


@pytest.mark.parametrize("end", ["disconnected", "dropped"])
def test_who_waits_for_an_answer_on_a_connection_is_cut_off_with_it_and_a_publish_is_not(end: str) -> None:
    body = """
    for command in commands():
        if command["do"] in ("subscribe", "publish"):
            held = command["id"]
        elif command["do"] == "ack":  # the connection ends, and the first command is answered, which is late
            say(event="disconnected", by="network")
            say(id=held - 1, event="error", error="failed")
            say(id=command["id"], event="acked")
        elif command["do"] == "drop":
            say(id=command["id"], event="dropped")
            say(id=held - 1, event="error", error="failed")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        wanted = (contract.SubscriptionRequest(topic_filter="t"),)
        subscribe = contract.Subscribe(id=adapter.next_id(), subscriptions=wanted)
        publish = contract.Publish(id=adapter.next_id(), topic="t", qos=1)
        subscribing, publishing = (
            asyncio.create_task(adapter.request(each, TIMEOUT_SECONDS)) for each in (subscribe, publish)
        )
        await asyncio.sleep(0)
        if end == "dropped":
            await drop(adapter)
        else:
            await adapter.request(contract.Ack(id=adapter.next_id(), message=1), TIMEOUT_SECONDS)
        answer = await subscribing
        assert isinstance(answer, contract.ErrorEvent)
        assert answer.error == "cut-off"
        assert not publishing.done()
        await adapter.reset()
        assert adapter.fault is None
        await publishing

    with_driver(body, use)


def test_an_answer_from_before_the_reset_is_rubbish_after_it() -> None:
    body = """
    held = None
    for command in commands():
        if command["do"] == "publish":
            held = command["id"]
        elif command["do"] == "drop":
            say(id=held, event="published")
        else:
            polite(command)
    """

    async def use(adapter: ProcessDriver) -> None:
        publish = adapter.request(contract.Publish(id=adapter.next_id(), topic="t"), TIMEOUT_SECONDS)
        waiting = asyncio.create_task(publish)
        await asyncio.sleep(0)
        await adapter.reset()
        await waiting
        with pytest.raises(DriverRubbish, match="waits for no answer"):
            await drop(adapter)

    with_driver(body, use)
