#!/usr/bin/env bash
# A QoS 2 message goes down with its session, and the application is told that it was published.
#
# Packages: mqtt 5.16.0 with mqtt-packet 9.0.2 (npm), as it comes: 3.1.1, Clean Session 1; the broker is a few lines of Python.
# Expected: [3.1.1 MQTT-3.1.2-6] with Clean Session 1 nothing of one connection's session is used on another. The server's state ends
#   with the connection, an identifier whose PUBLISH it has not passed on yet among it: the message has to be sent as a new one, or
#   the callback of `publish` has to say that it is in doubt.
# Happens: the broker answers PUBLISH with PUBREC, and the connection ends at PUBREL. On the next connection, again with Clean Session,
#   MQTT.js sends this PUBREL alone. A broker that has no such message can only answer PUBCOMP [3.1.1 MQTT-4.3.3-2], and the callback
#   comes without an error. Where the broker passes messages on at PUBREL, one of the two ways of 4.3.3, nobody got it. (In 5.0
#   PUBCOMP carries 0x92, and the callback an error.)
# Upstream: https://github.com/mqttjs/MQTT.js/pull/852 made PUBREL survive for kept sessions; no report of this one found.
#
# Seen on 2026-11-28:
#   connection 1, clean: PUBLISH 'm', PUBREL; cut
#   connection 2, clean: PUBREL
#   callback of publish: no error
source "$(dirname "$0")/common.sh"

npm_packages mqtt@5.16.0 mqtt-packet@9.0.2
cat >"$folder/client.cjs" <<'JS'
const mqtt = require('mqtt')
const client = mqtt.connect({ host: '127.0.0.1', port: Number(process.argv[2]), reconnectPeriod: 200 })
client.once('connect', () => client.publish('t', 'm', { qos: 2 }, (error) => {
  console.log(error ? error.message : 'no error')
  client.end(true)
}))
JS

run_python "$folder/client.cjs" <<'PYTHON'
import socket
import subprocess
import sys

from peer import packet, read_packet

NAMES = {1: "CONNECT", 3: "PUBLISH", 6: "PUBREL"}
listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(10)
command = ["timeout", "20", "node", sys.argv[1], str(listener.getsockname()[1])]
seen = []
with listener, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
    for number in (1, 2):
        connection, _ = listener.accept()
        connection.settimeout(10)
        _, _, connect = read_packet(connection)
        connection.sendall(packet(0x20, b"\0\0"))
        packets = []
        while not packets or packets[-1] != "PUBREL":
            kind, _, body = read_packet(connection)
            packets.append(NAMES[kind])
            if kind == 3:
                packets[-1] += f" {body[-1:].decode()!r}"
                connection.sendall(packet(0x50, body[3:5]))
            elif kind == 6 and number == 2:
                connection.sendall(packet(0x70, body))
        clean = "clean" if connect[7] & 2 else "kept"
        print(f"connection {number}, {clean}: {', '.join(packets)}{'; cut' if number == 1 else ''}")
        seen.append((clean, packets))
        if number == 1:
            connection.close()
    answer = client.communicate(timeout=10)[0].strip()
print("callback of publish:", answer)
sys.exit(seen != [("clean", ["PUBLISH 'm'", "PUBREL"]), ("clean", ["PUBREL"])] or answer != "no error")
PYTHON
