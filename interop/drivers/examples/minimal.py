"""The contract in one file of plain Python: an adapter for a client of MQTT 3.1.1, QoS 0 and 1, over TCP.

Nothing of the harness is imported, so it also shows what an adapter in any language has to do: read commands as JSON
Lines from standard input, write events as JSON Lines to standard output, and whatever it likes to standard error.
"""

import base64
import contextlib
import json
import socket
import struct
import sys
import threading
from typing import Any

Fields = dict[str, Any]
LACKS = ["qos2", "kept-session", "will", "keep-alive", "manual-ack", "username-password", "publish-offline"]
HELLO = {"event": "hello", "contract": 1, "client": "minimal", "version": "1", "mqtt": ["3.1.1"], "unsupported": LACKS}
VERBS = {"connect", "subscribe", "unsubscribe", "publish", "disconnect", "drop"}
UNSUPPORTED: Fields = {"event": "error", "error": "unsupported"}
CUT_OFF: Fields = {"event": "error", "error": "cut-off"}
CONNACK, PUBLISH = 2, 3
ANSWERS = {4: "published", 9: "subscribed", 11: "unsubscribed"}  # by the type of the packet that brings them


class _Client:
    """One client instance. A verb's method gives its answer, or None when the broker will bring it."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.reader: threading.Thread | None = None
        self.lock = threading.Lock()  # who reads ends a connection, too, perhaps while the next command comes
        self.waiting: dict[tuple[int, bytes], int] = {}  # packet type and id of the answer -> the command's id
        self.messages = self.last_packet_id = 0

    def carry_out(self, verb: str, command: Fields) -> Any:
        with self.lock:
            return getattr(self, verb)(command)

    def connect(self, command: Fields) -> Fields | None:
        if command["mqtt"] != "3.1.1" or any(command.get(name) for name in ("will", "username", "manual_ack")):
            return UNSUPPORTED
        self.close()
        connection = socket.create_connection((command["host"], command["port"]))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.waiting[CONNACK, b""] = connection, command["id"]
        self.reader = threading.Thread(target=self.receive, args=(connection,), daemon=True)
        self.reader.start()
        head = _text("MQTT") + struct.pack("!BBH", 4, 2 * command["clean_start"], command["keep_alive"])
        return self.send(0x10, head + _text(command["client_id"]))

    def subscribe(self, command: Fields) -> Fields | None:
        filters = b"".join(_text(each["topic_filter"]) + bytes([each["qos"]]) for each in command["subscriptions"])
        return self.send(0x82, self.new_packet_id(9, command) + filters)

    def unsubscribe(self, command: Fields) -> Fields | None:
        return self.send(0xA2, self.new_packet_id(11, command) + b"".join(map(_text, command["topic_filters"])))

    def publish(self, command: Fields) -> Fields | None:
        topic, payload = _text(command["topic"]), base64.b64decode(command["payload"])
        if command["qos"] == 2:
            return UNSUPPORTED
        if command["qos"] == 0:
            return self.send(0x30 | command["retain"], topic + payload) or {"event": "published"}
        return self.send(0x32 | command["retain"], topic + self.new_packet_id(4, command) + payload)

    def disconnect(self, _: Fields) -> Fields:
        self.close(farewell=b"\xe0\0")
        return {"event": "disconnected", "by": "client"}

    def drop(self, _: Fields) -> Fields:
        self.close()
        return {"event": "dropped"}

    def new_packet_id(self, answer: int, command: Fields) -> bytes:
        self.last_packet_id = self.last_packet_id % 65535 + 1
        packet_id = struct.pack("!H", self.last_packet_id)
        if self.socket is not None:
            self.waiting[answer, packet_id] = command["id"]
        return packet_id

    def send(self, first: int, body: bytes) -> Fields | None:
        if self.socket is None:
            return CUT_OFF
        length, size = len(body), b""
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        self.socket.sendall(bytes([first]) + size + bytes([length]) + body)
        return None

    def receive(self, connection: socket.socket) -> None:
        """Take what the broker sends, in a thread of its own, until the connection ends."""
        stream = connection.makefile("rb")
        with contextlib.suppress(OSError):
            while first := stream.read(1):
                length, shift, digit = 0, 0, 128
                while digit > 127:
                    digit = (stream.read(1) or b"\0")[0]
                    length, shift = length | (digit & 127) << shift, shift + 7
                body = stream.read(length)
                with self.lock:
                    if self.socket is not connection:  # dropped; what it still brings is no answer to what came since
                        return
                    self.take(first[0] >> 4, first[0] & 15, body)
        with self.lock:
            if self.socket is connection:  # else it was our own doing
                if (CONNACK, b"") not in self.waiting:
                    _emit({"event": "disconnected", "by": "network"})
                self.close()

    def take(self, kind: int, flags: int, body: bytes) -> None:
        if kind == CONNACK:
            accepted = {"event": "connected", "session_present": bool(body[0])}
            refused = {"event": "error", "error": "refused", "reason": body[1]}
            _emit({"id": self.waiting.pop((kind, b"")), **(refused if body[1] else accepted)})
            if body[1]:
                self.close()
        elif kind == PUBLISH:
            end, qos = 2 + int.from_bytes(body[:2], "big"), flags >> 1 & 3
            self.messages += 1
            event = {"event": "message", "message": self.messages, "topic": body[2:end].decode()}
            payload = base64.b64encode(body[end + 2 if qos else end :]).decode()
            _emit({**event, "payload": payload, "qos": qos, "retain": bool(flags & 1), "dup": bool(flags & 8)})
            if qos:
                self.send(0x40, body[end : end + 2])
        elif (kind, body[:2]) in self.waiting:
            reasons = {"reasons": list(body[2:])} if kind == 9 else {}
            _emit({"id": self.waiting.pop((kind, body[:2])), "event": ANSWERS[kind], **reasons})

    def close(self, farewell: bytes = b"") -> None:
        connection, self.socket = self.socket, None  # first, or the reader would report the end as news
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.sendall(farewell)
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        while self.waiting:
            _emit({"id": self.waiting.popitem()[1], **CUT_OFF})


def _text(value: str) -> bytes:
    return struct.pack("!H", len(value.encode())) + value.encode()


def _emit(event: Fields) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _main() -> None:
    client = _Client()
    for line in sys.stdin:
        command = json.loads(line)
        verb, answer = command["do"], UNSUPPORTED  # which is also the right answer to verbs nobody knows
        if verb == "hello":
            answer = HELLO
        elif verb in {"reset", "exit"}:
            with client.lock:
                client.waiting.clear()
                client.close()
            if client.reader is not None:
                client.reader.join()  # nothing of this instance may be written after `ready`
            client, answer = _Client(), {"event": "ready" if verb == "reset" else "bye"}
        elif verb in VERBS:
            try:
                answer = client.carry_out(verb, command)
            except OSError as problem:
                answer = {"event": "error", "error": "failed", "detail": str(problem)}
        if answer is not None:
            _emit({"id": command["id"], **answer})
        if verb == "exit":
            return


if __name__ == "__main__":
    _main()
