"""The live page: what the person beside the device is to do now, and how the stages came out.

Belongs here: the page, and the few bytes of HTTP it takes.
Does not belong here: what it says (`play`).

It listens on loopback only, answers GET and nothing else, and shows nothing but what is said on the terminal, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
from dataclasses import dataclass, field

from reference_broker.net.address import Address
from reference_broker.net.listening import bind

HOST = "127.0.0.1"
_REQUEST_SECONDS = 5.0
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Certify a device</title><style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 760px; margin: 32px auto; padding: 0 20px; color: #1b2230; }
#now { font-size: 26px; line-height: 1.3; border-left: 6px solid #1d55c4; padding: 6px 0 6px 18px; margin: 20px 0; }
li { margin: 3px 0; } .pass { color: #176b37; } .fail { color: #b42318; } .setup-failed, .observed { color: #755800; }
code { background: #f1f3f7; padding: 1px 5px; border-radius: 4px; } small { color: #556071; }
</style><h1>TITLE</h1><p>The device connects to <code>ADDRESS</code>. Keep this page open; it follows by itself.</p>
<div id="now"></div><ol id="stages"></ol><script>
async function look() {
  try {
    const state = await (await fetch("state")).json();
    document.getElementById("now").textContent = state.now;
    document.getElementById("stages").replaceChildren(...state.stages.map(([title, verdict, reason]) => {
      const item = document.createElement("li"), more = document.createElement("small");
      item.className = verdict;
      item.textContent = title + (verdict ? ": " + verdict.replace("setup-failed", "not reached") + " " : "");
      more.textContent = reason;
      item.append(more);
      return item;
    }));
  } catch {
    document.getElementById("now").textContent = "The test has ended; the terminal says where its certificate is.";
    return;
  }
  setTimeout(look, 500);
}
look();
</script></html>
"""


@dataclass(slots=True)
class Board:
    """What the page shows: the words of the moment, and each stage's title, verdict (empty before) and reason."""

    title: str
    address: str
    now: str = ""
    stages: list[tuple[str, str, str]] = field(default_factory=list)

    def page(self) -> str:
        """The page, which asks for the rest."""
        return _PAGE.replace("TITLE", html.escape(self.title)).replace("ADDRESS", html.escape(self.address))

    def state(self) -> str:
        """The rest, as JSON."""
        return json.dumps({"now": self.now, "stages": self.stages})


class LivePage:
    """Serves a board until it is closed."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._server: asyncio.Server | None = None

    async def open(self, port: int = 0) -> str:
        """Listen; gives the page's address. Raises ListenFailed."""
        self._server = await asyncio.start_server(self._answer, sock=bind(Address(HOST, port)))
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}/"

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            writer.write(self._response(*head.split(" ", 2)[:2]))
            await writer.drain()
        writer.close()

    def _response(self, method: str, path: str) -> bytes:
        answers = {"/": ("text/html", self._board.page), "/state": ("application/json", self._board.state)}
        if method != "GET" or path not in answers:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        kind, give = answers[path]
        body = give().encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode() + body
