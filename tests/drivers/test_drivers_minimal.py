"""The contract's example: what its reader's thread does may be anywhere when the next command comes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from interop.drivers.examples import minimal

REFUSED = b"\x20\x02\x00\x05"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


def connect(listener: socket.socket, number: int) -> dict[str, object]:
    host, port = listener.getsockname()
    return {
        "id": number, "do": "connect", "mqtt": "3.1.1", "host": host, "port": port, "client_id": "c",
        "clean_start": True, "keep_alive": 60,
    }  # fmt: skip


def test_a_connection_asked_for_while_a_refused_one_ends_is_not_cut_off_with_it(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application hears of the refusal before the socket is closed, and may be quicker than that."""
    refused, asked_again, told = threading.Event(), threading.Event(), []

    def emit(event: dict[str, object]) -> None:
        told.append(event)
        if event.get("error") == "refused":
            refused.set()
            asked_again.wait(0.3)  # which may come no sooner than this connection is closed

    monkeypatch.setattr(minimal, "_emit", emit)
    client = minimal._Client()
    with contextlib.ExitStack() as held:
        client.carry_out("connect", connect(listener, 1))
        first = held.enter_context(listener.accept()[0])
        first.sendall(REFUSED)
        assert refused.wait(20)
        reader = client.reader
        client.carry_out("connect", connect(listener, 2))
        asked_again.set()
        held.enter_context(listener.accept()[0])
        assert reader is not None
        reader.join(20)
        assert told == [{"id": 1, "event": "error", "error": "refused", "reason": 5}]
        assert client.socket is not None
        client.close()


def test_what_is_asked_for_while_a_lost_connection_ends_is_cut_off_as_after_it(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, answered, told = threading.Event(), threading.Event(), []

    def emit(event: dict[str, object]) -> None:
        told.append(event["event"])
        if event["event"] == "disconnected":
            lost.set()
            answered.wait(0.3)  # which may come no sooner than this connection is closed

    monkeypatch.setattr(minimal, "_emit", emit)
    client = minimal._Client()
    client.carry_out("connect", connect(listener, 1))
    with listener.accept()[0] as connection:
        connection.sendall(b"\x20\x02\x00\x00")
    assert lost.wait(20)
    publish = {"id": 2, "do": "publish", "topic": "t", "payload": "", "qos": 0, "retain": False}
    assert client.carry_out("publish", publish) == minimal.CUT_OFF
    answered.set()
    assert told == ["connected", "disconnected"]


def test_what_a_dropped_connection_still_brings_is_no_answer_on_the_next_one(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(minimal, "_emit", told.append)
    client = minimal._Client()
    client.carry_out("connect", connect(listener, 1))
    dropped, late = socket.socketpair()
    with listener.accept()[0], dropped, late:
        late.sendall(b"\x20\x02\x00\x00")
        late.shutdown(socket.SHUT_WR)
        client.receive(dropped)
        assert told == []
        client.waiting.clear()
        client.close()
