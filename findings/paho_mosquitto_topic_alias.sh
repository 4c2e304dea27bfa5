#!/usr/bin/env bash
# One message that was sent by its topic alias and not acknowledged keeps a client from ever being connected again.
#
# Packages: paho-mqtt 2.2.0 (PyPI), mosquitto 2.0.11-1.2+deb12u2 (Debian 12).
# Expected: [5.0 MQTT-3.3.2-7] aliases end with their connection, so what is sent again after a reconnection has its topic name. That
#   the client saves the name by itself is what an application expects that may publish with topic '' and an alias.
# Happens: the broker is started anew while a QoS 1 message is under way. Paho connects, and sends the message again as it was, with
#   topic '' and the alias. mosquitto closes with Protocol Error, Paho connects again, and so on for as long as the process lives:
#   neither that message nor any published later is taken, though `on_connect` says Success each time. A later message by its full
#   topic, without an alias, does not arrive.
# Upstream: https://github.com/eclipse-paho/paho.mqtt.python/issues/893
#
# Seen on 2026-11-29:
#   before: connected 1 times, acknowledged: [1]
#   after the broker's restart: ['Success', 'Success', 'Success', 'Success'], each ended by ['Protocol error']
#   acknowledged since: [], arrived at a subscriber: []
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mosquitto_broker

run_python "$port" "$(command -v mosquitto)" "$folder/mosquitto.conf" "${pids[0]}" <<'PYTHON'
import os
import signal
import subprocess
import sys

import paho.mqtt.client as mqtt
from connected import Connected, properties, wait_until
from paho.mqtt.packettypes import PacketTypes

port, program, configuration, pid = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
alias = properties(PacketTypes.PUBLISH, TopicAlias=1)
connects, ends, acknowledged = [], [], []

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "client", protocol=mqtt.MQTTv5)
client.on_connect = lambda _client, _userdata, _flags, reason, _properties: connects.append(str(reason))
client.on_disconnect = lambda _client, _userdata, _flags, reason, _properties: ends.append(str(reason))
client.on_publish = lambda _client, _userdata, identifier, _reason, _properties: acknowledged.append(identifier)
client.reconnect_delay_set(1, 1)
client.connect("127.0.0.1", port, clean_start=False, properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=600))
client.loop_start()
client.publish("t", "first", 1, properties=alias)
assert wait_until(lambda: acknowledged)
print(f"before: connected {len(connects)} times, acknowledged: {acknowledged}")

os.kill(pid, signal.SIGSTOP)  # so that the next message is sent, and not acknowledged
client.publish("", "by alias", 1, properties=alias)
wait_until(lambda: False, 0.5)
connects.clear()
os.kill(pid, signal.SIGKILL)
wait_until(lambda: ends)
ends.clear()
again = subprocess.Popen([program, "-c", configuration], stderr=subprocess.DEVNULL)
try:
    looped = wait_until(lambda: len(ends) >= 2, 10)
    reader = Connected(port, "reader")
    reader.subscribe("t", qos=1)
    client.publish("t", "by full topic", 1)
    looped = looped and wait_until(lambda: len(ends) >= 5, 10)
    client.loop_stop()
    print(f"after the broker's restart: {connects[:4]}, each ended by {sorted(set(ends[:4]))}")
finally:
    again.terminate()
    again.wait()
arrived = [message.payload.decode() for message in reader.messages]
print(f"acknowledged since: {acknowledged[1:]}, arrived at a subscriber: {arrived}")
sys.exit(not looped or set(connects) != {"Success"} or set(ends) != {"Protocol error"} or len(acknowledged) > 1 or arrived != [])
PYTHON
