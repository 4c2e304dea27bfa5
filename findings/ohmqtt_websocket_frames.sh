#!/usr/bin/env bash
# Over WebSocket, a packet has to come in one frame: in two, which is as valid, it ends the connection.
#
# Packages: ohmqtt 1.2.1 (PyPI); the broker is a few lines of Python.
# Expected: [5.0 MQTT-6.0.0-2] a frame may carry a part of a packet or several, and the receiver must not count on packets beginning
#   and ending with frames; RFC 6455, 5.4: a sender, or a proxy on the way, may split a frame into fragments.
# Happens: a PUBLISH in one binary frame is told to the application. The same bytes in two binary frames are a malformed packet to it
#   ("Invalid length"), and in two fragments "not supported", which its documentation does not say. Either way it closes, and a session
#   or a broker that sends like that again meets the same end.
# Upstream: no report found.
#
# Seen on 2026-11-28:
#   PUBLISH in one frame: told [b'hello'], connected True
#   PUBLISH in two frames: told [], connected False
#   PUBLISH in two fragments: told [], connected False
source "$(dirname "$0")/common.sh"

pypi ohmqtt==1.2.1

run_python <<'PYTHON'
import base64
import hashlib
import socket
import sys
import threading
import time

from ohmqtt import Client
from peer import packet, text

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
publish = packet(0x30, text("t") + b"\0" + b"hello")


def frame(first_byte, data):
    return bytes([first_byte, len(data)]) + data


def read_frame(connection):
    head = connection.recv(2, socket.MSG_WAITALL)
    mask = connection.recv(4, socket.MSG_WAITALL)
    data = connection.recv(head[1] & 0x7F, socket.MSG_WAITALL) if head[1] & 0x7F else b""
    return head[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


def serve(connection, frames):
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    key = next(line.split(": ")[1] for line in request.decode().split("\r\n") if line.lower().startswith("sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
              f"Sec-WebSocket-Accept: {accept}", "Sec-WebSocket-Protocol: mqtt", "", ""]
    connection.sendall("\r\n".join(answer).encode())
    read_frame(connection)
    connection.sendall(frame(0x82, packet(0x20, b"\0\0\0")))
    time.sleep(0.5)
    for part in frames:
        connection.sendall(part)


def play(frames):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    got = []

    def broker():
        connection, _ = listener.accept()
        connection.settimeout(10)
        serve(connection, frames)
        time.sleep(1.5)
        connection.close()

    thread = threading.Thread(target=broker, daemon=True)
    thread.start()
    with Client() as client:
        client.subscribe("t", lambda _client, message: got.append(message.payload))
        client.connect(f"ws://127.0.0.1:{listener.getsockname()[1]}", client_id="client")
        client.wait_for_connect(5)
        time.sleep(1.2)
        connected = client.is_connected()
    thread.join(5)
    listener.close()
    return got, connected


whole = play([frame(0x82, publish)])
halves = play([frame(0x82, publish[:4]), frame(0x82, publish[4:])])
fragments = play([frame(0x02, publish[:4]), frame(0x80, publish[4:])])
for name, (told, connected) in {"one frame": whole, "two frames": halves, "two fragments": fragments}.items():
    print(f"PUBLISH in {name}: told {told}, connected {connected}")
sys.exit((whole, halves, fragments) != (([b"hello"], True), ([], False), ([], False)))
PYTHON
