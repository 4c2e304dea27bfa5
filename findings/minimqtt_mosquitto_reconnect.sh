#!/usr/bin/env bash
# `reconnect` of a client with a persistent session throws that session away, and what waited in it, and comes back with QoS 0.
#
# Packages: adafruit-circuitpython-minimqtt 8.1.0 (PyPI, on CPython), mosquitto 2.0.11-1.2+deb12u2 (Debian 12).
# Expected: documentation of `reconnect`: it connects again and, with `resub_topics` (the default), subscribes to what was subscribed
#   before. [3.1.1 MQTT-3.1.2-5] a broker keeps QoS 1 messages for the session of an absent client, so they should come now.
# Happens: `connect(clean_session=False)` is not remembered, `reconnect` always sends Clean Session 1, so mosquitto deletes the session
#   with the message in it. Only the filters are remembered, not their QoS: the subscription at QoS 1 is made again at QoS 0.
# Upstream: no report found.
#
# Seen on 2026-11-28:
#   before: CONNECT with Clean Session 0, SUBSCRIBE at QoS 1; after `reconnect`: CONNECT with Clean Session 1, SUBSCRIBE at QoS 0
#   published while away: 1, told to the application: []
source "$(dirname "$0")/common.sh"

pypi adafruit-circuitpython-minimqtt==8.1.0 adafruit-circuitpython-connectionmanager==3.1.8 adafruit-circuitpython-ticks==1.1.7 \
  adafruit-circuitpython-typing==1.13.0 typing-extensions==4.16.0 Adafruit-Blinka==10.0.0
mosquitto_broker "log_type all"

run_python "$port" "$folder/broker.log" <<'PYTHON'
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import adafruit_minimqtt.adafruit_minimqtt as minimqtt

port, log = int(sys.argv[1]), Path(sys.argv[2])
told = []
client = minimqtt.MQTT(broker="127.0.0.1", port=port, client_id="device", socket_pool=socket, is_ssl=False,
                       socket_timeout=0.5, connect_retries=1)
client.on_message = lambda _client, _topic, payload: told.append(payload)
client.connect(clean_session=False)
client.subscribe("alarm", 1)
client._sock.shutdown(socket.SHUT_RDWR)  # the link breaks
while "device closed its connection" not in log.read_text() and "device disconnected" not in log.read_text():
    time.sleep(0.1)
subprocess.run(["mosquitto_pub", "-p", str(port), "-t", "alarm", "-q", "1", "-m", "fire"], check=True, timeout=10)
try:
    client.loop(timeout=0.5)
except (minimqtt.MMQTTException, OSError):
    client.reconnect()
for _ in range(3):
    client.loop(timeout=0.5)
client.disconnect()
lines = log.read_text()
clean = re.findall(r"connected from \S+ as device \(p2, c([01])", lines)
qos = re.findall(r"\talarm \(QoS ([0-2])\)", lines)
print(f"before: CONNECT with Clean Session {clean[0]}, SUBSCRIBE at QoS {qos[0]}; "
      f"after `reconnect`: CONNECT with Clean Session {clean[1]}, SUBSCRIBE at QoS {qos[1]}")
print("published while away: 1, told to the application:", told)
sys.exit((clean, qos, told) != (["0", "1"], ["1", "0"], []))
PYTHON
