"""A stranger's suite: three checks of a broker. python three_checks.py HOST PORT [JUNIT_FILE [always-fails]]."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

HOST, PORT, *REST = sys.argv[1:]
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01"


class Peer:
    def __init__(self, name: bytes) -> None:
        self._socket = socket.create_connection((HOST, int(PORT)), 0.5)
        self.ask(CONNECT + name, b"\x20\x02\x00\x00")

    def ask(self, request: bytes, answer: bytes) -> None:
        self._socket.sendall(request)
        got = b""
        while len(got) < len(answer):
            data = self._socket.recv(100)
            assert data, "closed"
            got += data
        assert got == answer, got


def connected() -> None:
    Peer(b"a").ask(b"\xc0\x00", b"\xd0\x00")


def acknowledged() -> None:
    Peer(b"a").ask(b"\x32\x06\x00\x01t\x00\x07x", b"\x40\x02\x00\x07")


def retained() -> None:
    Peer(b"a").ask(b"\x31\x04\x00\x01rx\xc0\x00", b"\xd0\x00")
    Peer(b"b").ask(b"\x82\x06\x00\x01\x00\x01r\x00", b"\x90\x03\x00\x01\x00\x31\x04\x00\x01rx")


def always() -> None:
    raise AssertionError("of the suite's own making")


checks = [connected, acknowledged, retained, *([always] if "always-fails" in REST else [])]
failed = []
for check in checks:
    try:
        check()
    except (AssertionError, OSError):
        failed.append(check.__name__)
if len(REST) > 1:
    cases = "".join(
        f'<testcase classname="checks" name="{each.__name__}">{"<failure/>" * (each.__name__ in failed)}</testcase>'
        for each in checks
    )
    Path(REST[0]).write_text(f"<testsuite>{cases}</testsuite>", "utf-8")
if failed:
    sys.exit(f"failed: {', '.join(failed)}")
