#!/usr/bin/env bash
# A QoS 1 message with a user property is sent over and over again: the broker takes it, the client does not take the answer.
#
# Packages: paho-mqtt 2.2.0 (PyPI), github.com/mochi-mqtt/server/v2 v2.7.9 (Go).
# Expected: [5.0 MQTT-3.4.2-1] PUBACK carries one of the reason codes tabulated for it; "granted QoS 1", 0x01, is one of SUBACK.
# Happens: mochi copies the user properties of the PUBLISH into its PUBACK, and its reason code is 0x01. Without properties it leaves
#   the code out, which reads as success. Paho finds no such code for a PUBACK, closes the connection as a protocol error, connects
#   again and repeats the message, as it should: one message arrives once a second, and the publisher is never told that it did.
#   With mosquitto in mochi's place, it arrives once. MQTT.js 5.16.0 does not take this answer either.
# Upstream: https://github.com/mochi-mqtt/server/issues/474 (the reason code; not what comes of it).
#
# Seen on 2026-11-28 (the number of copies is a matter of time):
#   PUBACK without user property: 00 01, with one: 00 01 01 07 26 00 01 61 00 01 31
#   published once; after 5 s: 5 copies, 5 disconnects ['Protocol error'], told that it was published: False
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mochi_broker

run_python "$port" <<'PYTHON'
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from peer import packet, read_packet, text

port = int(sys.argv[1])
with socket.create_connection(("127.0.0.1", port), 5) as bare:
    bare.sendall(packet(0x10, text("MQTT") + b"\5\2\0\x3c\0" + text("bare")))
    read_packet(bare)
    bare.sendall(packet(0x32, text("elsewhere") + b"\0\1" + b"\0"))
    plain = read_packet(bare)[2]
    bare.sendall(packet(0x32, text("elsewhere") + b"\0\1" + b"\7\x26" + text("a") + text("1")))
    with_property = read_packet(bare)[2]
print(f"PUBACK without user property: {plain.hex(' ')}, with one: {with_property.hex(' ')}")

copies, reasons, subscribed = [], [], threading.Event()
subscriber = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
subscriber.on_connect = lambda client, *_: client.subscribe("t", qos=1)
subscriber.on_subscribe = lambda *_: subscribed.set()
subscriber.on_message = lambda _client, _userdata, message: copies.append(message.payload)
subscriber.connect("127.0.0.1", port)
subscriber.loop_start()
assert subscribed.wait(5)

publisher = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
publisher.on_disconnect = lambda _client, _userdata, _flags, reason, _properties: reasons.append(str(reason))
publisher.connect("127.0.0.1", port)
publisher.loop_start()
properties = Properties(PacketTypes.PUBLISH)
properties.UserProperty = [("a", "1")]
message = publisher.publish("t", "once", qos=1, properties=properties)
time.sleep(5)
published = message.is_published()
publisher.disconnect()
print(f"published once; after 5 s: {len(copies)} copies, {len(reasons)} disconnects {sorted(set(reasons))}, "
      f"told that it was published: {published}")
sys.exit(with_property[2:3] != b"\1" or len(copies) < 3 or published)
PYTHON
