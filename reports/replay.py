"""A script that shows a defect again without us: Python and sockets, under 40 lines, to be read before it is run.

Belongs here: the script, from the packets of the shortest cell. Does not belong here: the words around it (`issue`).

The script takes the place of whoever is not to blame: it sends what reached the one to blame, in the recorded order,
and waits where that one sent something. It acknowledges by the packet identifiers it sees, not by those recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from reports.defects import Defect
from reports.record import TraceEntry

LIMIT_LINES = 40

Side = Literal["client", "broker"]

_NEVER_ARRIVED = frozenset({"dropped", "held", "delayed", "lost", "rewritten"})
_TOLD_BEFORE = frozenset({"released", "injected", "duplicated"})
_SHORTEST_WAIT_SECONDS = 0.25
_PATIENCE_SECONDS: dict[Side, int] = {"broker": 5, "client": 60}
_USAGE: dict[Side, str] = {
    "broker": "python replay.py HOST PORT, of the broker",
    "client": "python replay.py HOST PORT, to listen at; then let the client do there what is recorded of it",
}

_SCRIPT = '''\
"""{headline} [{statement}]. {usage}."""
import socket, sys, time
NAMES = "- CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK".split()
NAMES += "PINGREQ PINGRESP DISCONNECT AUTH".split()
STEPS = """{steps}"""  # connection, what happens on it, seconds to wait before it, bytes
def receive(stream):
    data = stream.read(2)
    while len(data) > 1 and data[-1] > 127: data += stream.read(1) or b"\\0"
    return data + stream.read(sum((byte & 127) << 7 * place for place, byte in enumerate(data[1:])))
def id_at(data):  # where the packet identifier is: behind the fixed header, in PUBLISH behind the topic name
    at = next((place for place, byte in enumerate(data[1:5], 2) if byte < 128), 2)
    return at + 2 + int.from_bytes(data[at:at + 2], "big") if data[0] >> 4 == 3 else at
address, sockets, streams, ids = (sys.argv[1], int(sys.argv[2])), {{}}, {{}}, {{}}
{listen}for name, what, seconds, text in (step.split(",") for step in STEPS.split()):
    data, said = bytes.fromhex(text), text
    try:
        if what == "open":
            sockets[name] = {open}
            sockets[name].settimeout({patience})
            streams[name] = sockets[name].makefile("rb")
        elif what == "close": sockets[name].shutdown(socket.SHUT_RDWR)
        elif what == "send":
            time.sleep(float(seconds))
            at = id_at(data)
            if data[0] >> 4 in (4, 5, 7, 9, 11): data = data[:at] + ids.get(data[at:at + 2], data[at:at + 2]) + data[at + 2:]
            sockets[name].sendall(data)
        else:
            came = receive(streams[name])
            if came and data and came[0] >> 4 == data[0] >> 4: ids[data[id_at(data):][:2]] = came[id_at(came):][:2]
            data, said = came, (came.hex() or "the end") + "; recorded: " + (text or "nothing more")
    except OSError as problem: data, said = b"", str(problem) + "; recorded: " + (text or "nothing more")
    print(name, what, NAMES[data[0] >> 4] if data else "", said, flush=True)
'''  # noqa: E501 - it has to be short


class Step(NamedTuple):
    """What the script does at one point."""

    connection: str
    what: Literal["open", "send", "get", "close"]
    seconds: float = 0.0
    bytes_hex: str = ""

    @property
    def text(self) -> str:
        """As it stands in the script."""
        return f"{self.connection},{self.what},{self.seconds:g},{self.bytes_hex}"


@dataclass(frozen=True, slots=True)
class Script:
    """What shows a defect again."""

    text: str
    usage: str
    """how it is run, in words"""


def replay(defect: Defect) -> Script | None:
    """The script of a defect; None where its shortest cell has no packet."""
    side: Side = "client" if defect.side == "client" else "broker"
    steps = list(_steps(defect.smallest.trace, side))
    if not any(step.bytes_hex for step in steps):
        return None
    cited = defect.statements[0] if defect.statements else None
    text = _SCRIPT.format(
        headline=defect.headline.replace("\\", "/").replace('"', "'"),
        statement=f"{cited.mqtt} {cited.id}" if cited else defect.rule,
        usage=_USAGE[side],
        steps="\n".join(_lines([step.text for step in steps])),
        listen="" if side == "broker" else "server = socket.create_server(address)\n",
        open="socket.create_connection(address)" if side == "broker" else "server.accept()[0]",
        patience=_PATIENCE_SECONDS[side],
    )
    return Script(text, _USAGE[side])


def _steps(trace: Sequence[TraceEntry], side: Side) -> Iterator[Step]:
    """What happens to the side to blame, up to the end of the cell; then whatever else comes."""
    end = max((place for place, entry in enumerate(trace, 1) if entry.kind in ("packet", "malformed")), default=0)
    before, connection = 0.0, ""
    for entry in trace[:end]:
        connection, waited, before = f"{entry.link}{entry.connection}", entry.at - before, entry.at
        if entry.kind == "open":
            yield Step(connection, "open")
        elif entry.kind == "close":
            yield Step(connection, "get" if entry.sender == side else "close")
        elif entry.kind in ("packet", "malformed"):
            if entry.sender == side and entry.fate not in _TOLD_BEFORE:
                yield Step(connection, "get", 0.0, _whole(entry))
            elif entry.sender != side and _receiver(entry) == side and entry.fate not in _NEVER_ARRIVED:
                yield Step(
                    connection, "send", round(waited, 2) if waited > _SHORTEST_WAIT_SECONDS else 0, _whole(entry)
                )
    if end:
        yield Step(connection, "get")


def _receiver(entry: TraceEntry) -> str:
    return entry.receiver or {"client": "broker", "broker": "client"}.get(entry.sender, "")


def _whole(entry: TraceEntry) -> str:
    """Its bytes; what a recording leaves out of a long packet, the end of a payload, is zeros."""
    return entry.hex + "00" * (entry.size_bytes - len(entry.hex) // 2)


def _lines(steps: Sequence[str]) -> Iterator[str]:
    """One step a line, or as many as it takes to stay below the limit."""
    room = LIMIT_LINES - 1 - _SCRIPT.count("\n")
    each = -(-len(steps) // room)
    for place in range(0, len(steps), each):
        yield " ".join(steps[place : place + each])
