#!/usr/bin/env bash
# A message that matches two of mosquitto_sub's filters, subscribed with an identifier, ends its connection and is not printed.
#
# Packages: mosquitto-clients 2.0.11-1.2+deb12u2 (Debian 12), github.com/mochi-mqtt/server/v2 v2.7.9 (Go), paho-mqtt 2.2.0 (PyPI).
# Expected: [5.0 MQTT-3.3.4-4] a broker that sends one copy for several subscriptions lists the identifiers of all of them, and
#   3.3.2.3.8 has the property occur more than once; 3.3.4 says the same of filters that were given the same identifier.
# Happens: mochi sends the identifier once for each filter that matches, as it should. libmosquitto takes a second one for a Protocol
#   Error, closes, connects again, subscribes again, and waits for the next one; nothing is printed. Messages that match one filter
#   arrive, so a second `-t` breaks what worked. With mosquitto for the broker it prints two copies, one for each filter.
# Upstream: no report found.
#
# Seen on 2026-11-29:
#   Paho was sent: [('a/b', [7, 7]), ('a/b/c', [7])]
#   mosquitto_sub -t 'a/#' -t 'a/+': connected 2 times, printed: ['a/b/c']
#   the same without an identifier: connected 1 times, printed: ['a/b', 'a/b/c']
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
debian mosquitto-clients=2.0.11-1.2+deb12u2 libmosquitto1=2.0.11-1.2+deb12u2 libcjson1=1.7.15-1+deb12u4
mochi_broker

run_python "$port" "$(command -v mosquitto_sub)" <<'PYTHON'
import subprocess
import sys
import threading

import paho.mqtt.client as mqtt
from connected import Connected, properties, wait_until
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

port, program = int(sys.argv[1]), sys.argv[2]
sender = Connected(port, "sender")


def play(*identifier):
    command = ["stdbuf", "-oL", program, "-d", "-V", "5", "-p", str(port), "-t", "a/#", "-t", "a/+", "-q", "1", "-F", "got %t"]
    reader = subprocess.Popen([*command, *identifier], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    reading = threading.Thread(target=lambda: lines.extend(line.rstrip() for line in iter(reader.stdout.readline, "")), daemon=True)
    reading.start()

    def count(start):
        return sum(line.startswith(start) for line in lines)

    try:
        assert wait_until(lambda: count("Subscribed"), 10)
        sender.publish("a/b", "x", qos=1)
        wait_until(lambda: count("Subscribed") == 2 or count("got"))
        sender.publish("a/b/c", "x", qos=1)
        wait_until(lambda: count("got a/b/c"))
    finally:
        reader.terminate()
        reader.wait()
    return count("Subscribed"), [line[4:] for line in lines if line.startswith("got ")]


paho = Connected(port, "paho", mqtt.MQTTv5)
paho.client.subscribe([("a/#", SubscribeOptions(1)), ("a/+", SubscribeOptions(1))],
                      properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=7))
with_identifier = play("-D", "subscribe", "subscription-identifier", "7")
assert wait_until(lambda: len(paho.messages) == 2)
paho.disconnect()
sent = [(message.topic, message.properties.SubscriptionIdentifier) for message in paho.messages]
print("Paho was sent:", sent)
print(f"mosquitto_sub -t 'a/#' -t 'a/+': connected {with_identifier[0]} times, printed: {with_identifier[1]}")
without = play()
print(f"the same without an identifier: connected {without[0]} times, printed: {without[1]}")
sys.exit(sent != [("a/b", [7, 7]), ("a/b/c", [7])] or with_identifier != (2, ["a/b/c"]) or without != (1, ["a/b", "a/b/c"]))
PYTHON
