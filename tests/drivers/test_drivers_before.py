"""One adapter does for a library and its releases before: what those say otherwise, it hears alike."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import gmqtt
import pytest

from interop.drivers import gmqtt_storage, paho_1
from interop.drivers.adapter import Pending, Unsuccessful


def in_5(value: int) -> Any:
    """As Paho 1 has a reason code in 5.0."""
    return SimpleNamespace(value=value)


@pytest.mark.parametrize(
    ("name", "told_by_1", "heard"),
    [
        ("connect", ({"session present": 1}, 0), (paho_1.Flags(session_present=True), paho_1.Reason(0), None)),
        ("connect", ({"session present": 0}, 5), (paho_1.Flags(), paho_1.Reason(135), None)),
        ("connect", ({"session present": 0}, in_5(0x97), "props"), (paho_1.Flags(), paho_1.Reason(0x97), "props")),
        ("subscribe", (7, (0, 128)), (7, [paho_1.Reason(0), paho_1.Reason(128)], None)),
        ("subscribe", (7, [in_5(1)], "props"), (7, [paho_1.Reason(1)], "props")),
        ("unsubscribe", (7,), (7, [], None)),
        ("unsubscribe", (7, "props", in_5(17)), (7, [paho_1.Reason(17)], "props")),
        ("publish", (7,), (7, paho_1.Reason(0), None)),
        ("disconnect", (16,), (paho_1.Flags(), paho_1.Reason(141), None)),
        ("disconnect", (7,), (paho_1.Flags(), paho_1.Reason(128), None)),
        (
            "disconnect",
            (in_5(0x8B), "props"),
            (paho_1.Flags(is_disconnect_packet_from_server=True), paho_1.Reason(0x8B), "props"),
        ),
        ("message", ("a message",), ("a message",)),
    ],
)
def test_a_callback_of_paho_1_is_heard_as_one_of_paho_2(
    name: str, told_by_1: tuple[Any, ...], heard: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paho_1, "IS_1", True)
    calls: list[tuple[Any, ...]] = []
    paho_1.said_as_in_2(name, lambda _client, _userdata, *said: calls.append(said))("client", None, *told_by_1)
    assert calls == [heard]


def test_a_reason_is_one_of_failure_from_0x80_on() -> None:
    assert [paho_1.Reason(code).is_failure for code in (0, 0x7F, 0x80)] == [False, False, True]


class OldStorage:
    """That of gmqtt before 0.8, as far as it is overridden; `timeout` is of 0.6."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._queue: list[tuple[float, int, bytes]] = []

    def push_message_nowait(self, mid: int, raw_package: bytes) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.push_message(mid, raw_package))

    async def push_message(self, mid: int, raw_package: bytes) -> None:
        self._queue.append((0.0, mid, raw_package))

    async def remove_message_by_mid(self, mid: int) -> None:
        self._queue = [each for each in self._queue if each[1] != mid]

    async def clear(self) -> None:
        self._queue = []


@pytest.fixture
def before_0_8(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`gmqtt_storage` over a gmqtt that has no other storage than the old one."""
    monkeypatch.setattr(gmqtt, "storage", SimpleNamespace(HeapPersistentStorage=OldStorage))
    spec = importlib.util.spec_from_file_location("gmqtt_storage_before_0_8", gmqtt_storage.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(before_0_8: ModuleType, happens: Callable[[Any], Any]) -> object:
    """What the application hears of message 7 when that happens to a storage that has it."""

    async def main() -> object:
        pending = Pending()
        storage = before_0_8.WatchedStorage(pending)
        pushed = storage.push_message_nowait(7, b"raw")
        assert storage.last_stored == 7  # at once, as it is asked for right after
        await pushed
        told = pending.expect(("publish", 7), outlives_connection=True)
        await happens(storage)
        await asyncio.sleep(0)
        return (told.exception() or "settled") if told.done() else "nothing"

    return asyncio.run(main())


def test_what_old_gmqtt_takes_out_of_its_storage_is_settled(before_0_8: ModuleType) -> None:
    assert outcome(before_0_8, lambda storage: storage.remove_message_by_mid(7)) == "settled"


def test_what_old_gmqtt_clears_is_dropped(before_0_8: ModuleType) -> None:
    assert isinstance(outcome(before_0_8, lambda storage: storage.clear()), Unsuccessful)


def test_what_old_gmqtt_puts_in_again_as_it_sends_again_is_not_dropped(before_0_8: ModuleType) -> None:
    async def send_again(storage: Any) -> None:
        await storage.clear()
        await storage.push_message(7, b"raw")

    assert outcome(before_0_8, send_again) == "nothing"
