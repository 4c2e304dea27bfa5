#!/usr/bin/env bash
# "Exactly once" is told to the application twice when the broker repeats what it has seen no PUBREC for.
#
# Packages: gmqtt 0.8.0 (PyPI), in 5.0 with a session that is kept; the broker is a few lines of Python.
# Expected: [5.0 MQTT-4.3.3-10] until PUBREL came, a PUBLISH with the same packet identifier is answered with PUBREC and not given on
#   a second time; the received identifiers are part of the session (4.1), and are there after a reconnection too.
# Happens: the connection ends while PUBREC is on its way. The broker says Session Present, and sends the PUBLISH again with DUP and
#   its identifier, as [5.0 MQTT-4.4.0-1] has it. `on_message` is called again, and PUBREC, PUBREL and PUBCOMP follow as usual: no
#   side sees a fault, and the application counts one thing twice.
# Upstream: no report found for 0.8.0, which is only on PyPI.
#
# Seen on 2026-11-28:
#   PUBLISH identifier 1, cut before PUBREC came; session present; PUBLISH identifier 1 with DUP, PUBREC, PUBREL, PUBCOMP
#   on_message: [(b'once', 0), (b'once', 1)] (payload and dup)
source "$(dirname "$0")/common.sh"

pypi gmqtt==0.8.0

run_python <<'PYTHON'
import asyncio
import logging
import socket
import sys

import gmqtt
from peer import packet, read_packet, text

told = []


def broker(listener):
    order = []
    for first_byte, present in ((0x34, 0), (0x3C, 1)):
        connection, _ = listener.accept()
        connection.settimeout(10)
        assert read_packet(connection)[0] == 1
        connection.sendall(packet(0x20, bytes([present, 0, 0])))
        connection.sendall(packet(first_byte, text("t") + b"\0\1\0once"))
        order.append(read_packet(connection)[0])
        if present:
            connection.sendall(packet(0x62, b"\0\1"))
            order.append(read_packet(connection)[0])
        connection.close()
    return order


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    playing = asyncio.create_task(asyncio.to_thread(broker, listener))
    client = gmqtt.Client("client", clean_session=False, session_expiry_interval=600)
    client.set_config({"reconnect_retries": 3, "reconnect_delay": 0})
    client.on_message = lambda _client, _topic, payload, _qos, properties: told.append((payload, properties["dup"])) or 0
    await client.connect("127.0.0.1", listener.getsockname()[1])
    order = await playing
    listener.close()
    client.set_config({"reconnect_retries": -2})
    return order


logging.disable()
order = asyncio.run(main())
assert order == [5, 5, 7], order  # PUBREC, which the broker of this story has not seen, PUBREC, PUBCOMP
print("PUBLISH identifier 1, cut before PUBREC came; session present; PUBLISH identifier 1 with DUP, PUBREC, PUBREL, PUBCOMP")
print("on_message:", told, "(payload and dup)")
sys.exit(told != [(b"once", 0), (b"once", 1)])
PYTHON
