#!/usr/bin/env bash
# A message that was begun in a lost session is delivered in the next one, and the message that came there is not.
#
# Packages: mosquitto-clients and libmosquitto1 2.0.11-1.2+deb12u2 (Debian 12); the broker is a few lines of Python.
# Expected: [3.1.1 MQTT-3.1.2-6, 5.0 MQTT-3.1.2-4] with Clean Session (Clean Start) both sides forget the session before, and received
#   QoS 2 packet identifiers are part of it (3.1.2.4; 4.1). So packet identifier 1 is free again on the second connection, and the
#   PUBLISH that carries it is a new message [3.1.1 MQTT-4.3.3-2].
# Happens: mosquitto_sub connects again by itself, with Clean Session, and is sent another message under the same identifier. It
#   keeps the message of the first connection, prints that at PUBREL, and drops the one it was sent. PUBREC and PUBCOMP look right, so
#   the broker takes the new message for delivered. In 3.1.1 and in 5.0.
# Upstream: no report found.
#
# Seen on 2026-11-28:
#   3.1.1: connected twice, clean [True, True]; sent 'old', cut, then sent 'new' with PUBREL and PUBCOMP; printed: ['old']
#   5.0: connected twice, clean [True, True]; sent 'old', cut, then sent 'new' with PUBREL and PUBCOMP; printed: ['old']
source "$(dirname "$0")/common.sh"

debian mosquitto-clients=2.0.11-1.2+deb12u2 libmosquitto1=2.0.11-1.2+deb12u2 libcjson1=1.7.15-1+deb12u4

run_python <<'PYTHON'
import socket
import subprocess
import sys

from peer import packet, read_packet, text


def accept(listener, properties):
    connection, _ = listener.accept()
    connection.settimeout(5)
    _, _, connect = read_packet(connection)
    connection.sendall(packet(0x20, b"\0\0" + properties))
    _, _, subscribe = read_packet(connection)
    connection.sendall(packet(0x90, subscribe[:2] + properties + b"\2"))
    return connection, bool(connect[7] & 2)


def publish_until_pubrec(connection, properties, payload):
    connection.sendall(packet(0x34, text("t") + b"\0\1" + properties + payload))
    assert read_packet(connection)[0] == 5  # PUBREC


def play(version, option, properties):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(listener.getsockname()[1]), "-V", option]
    command += ["-t", "t", "-q", "2", "-W", "20"]
    with listener, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as subscriber:
        first, first_clean = accept(listener, properties)
        publish_until_pubrec(first, properties, b"old")
        first.close()
        second, second_clean = accept(listener, properties)
        publish_until_pubrec(second, properties, b"new")
        second.sendall(packet(0x62, b"\0\1"))
        assert read_packet(second)[0] == 7  # PUBCOMP
        printed = subscriber.stdout.readline().split()
        subscriber.terminate()
    print(f"{version}: connected twice, clean {[first_clean, second_clean]}; sent 'old', cut, then sent 'new' with PUBREL "
          f"and PUBCOMP; printed: {printed}")
    return first_clean and second_clean and printed == ["old"]


sys.exit(0 if play("3.1.1", "311", b"") & play("5.0", "5", b"\0") else 1)
PYTHON
