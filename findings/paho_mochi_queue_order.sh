#!/usr/bin/env bash
# What waited for a client comes in no order, and marked as repeated.
#
# Packages: github.com/mochi-mqtt/server/v2 v2.7.9 (Go), paho-mqtt 2.2.0 (PyPI) on both sides.
# Expected: [3.1.1 MQTT-4.6.0-6] the server delivers what one client publishes to one topic with one QoS in the order it arrived;
#   [3.1.1 MQTT-3.3.1-3] DUP says only whether this PUBLISH is sent again.
# Happens: a client with a session of its own is away while another publishes the numbers 0 to 39, each acknowledged before the next.
#   On its return it gets all 40, in an order that differs from run to run (they are sorted by the second in which they came), and
#   each first delivery has DUP set. A subscriber that keeps the last value keeps an old one.
# Upstream: no report found.
#
# Seen on 2026-11-28 (one of many orders):
#   sent 0..39; came 40, the first ten: [27, 36, 1, 4, 12, 18, 25, 34, 35, 39], the last: 24; with DUP: 40
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mochi_broker

run_python "$port" <<'PYTHON'
import sys
import threading
import time

import paho.mqtt.client as mqtt

port = int(sys.argv[1])
count = 40
came = []


def connected(client_id, **options):
    ready = threading.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv311, **options)
    client.on_connect = lambda *_: ready.set()
    client.on_message = lambda _client, _userdata, message: came.append((int(message.payload), message.dup))
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(5)
    return client


subscriber = connected("away", clean_session=False)
subscribed = threading.Event()
subscriber.on_subscribe = lambda *_: subscribed.set()
subscriber.subscribe("t", qos=1)
assert subscribed.wait(5)
subscriber.disconnect()
subscriber.loop_stop()

publisher = connected("publisher")
for number in range(count):
    publisher.publish("t", str(number), qos=1).wait_for_publish(5)

connected("away", clean_session=False)
deadline = time.monotonic() + 5
while len(came) < count and time.monotonic() < deadline:
    time.sleep(0.05)
numbers = [number for number, _ in came]
print(f"sent 0..{count - 1}; came {len(numbers)}, the first ten: {numbers[:10]}, the last: {numbers[-1]}; "
      f"with DUP: {sum(dup for _, dup in came)}")
sys.exit(sorted(numbers) != list(range(count)) or numbers == sorted(numbers) or not all(dup for _, dup in came))
PYTHON
