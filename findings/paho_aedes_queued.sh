#!/usr/bin/env bash
# What waited for a subscriber is said to be retained, and comes with the publisher's QoS; what it gets while it is there, does not.
#
# Packages: aedes 1.2.0 with aedes-persistence 11.0.0 and mqtt-packet 9.0.2 (npm), its store in memory as it comes; paho-mqtt 2.2.0
#   (PyPI) on both sides, in 3.1.1.
# Expected: [3.1.1 MQTT-3.3.1-9] over a subscription that stands, messages have RETAIN 0 whatever the publisher set, and
#   [3.1.1 MQTT-3.8.4-6] the lower of the publisher's QoS and the granted one; that the subscriber was away in between changes neither.
# Happens: RETAIN and QoS are put into the queue as they were published. An application that takes RETAIN 1 for an old state, and
#   leaves it out, leaves out what is new; one that was granted QoS 1 gets QoS 2.
# Upstream: no report found.
#
# Seen on 2026-11-29 (payload, QoS, RETAIN; QoS 1 was granted, all was published at QoS 2 and two of three with RETAIN):
#   while it is there: [('on', 1, 0), ('off', 1, 0), ('event', 1, 0)]
#   what waited for it: [('on', 2, 1), ('off', 2, 1), ('event', 2, 0)]
source "$(dirname "$0")/common.sh"

command -v node >/dev/null || cannot "no Node.js"
pypi paho-mqtt==2.2.0
npm_packages aedes@1.2.0 aedes-persistence@11.0.0 mqtt-packet@9.0.2
port=$(free_port)
cat >"$folder/broker.mjs" <<'JS'
import { Aedes } from 'aedes'
import { createServer } from 'node:net'

const broker = await Aedes.createBroker()
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
JS
timeout 60 node "$folder/broker.mjs" "$port" >"$folder/broker.log" 2>&1 &
pids+=($!)
wait_for_port "$port"

run_python "$port" <<'PYTHON'
import sys

from connected import Connected, wait_until

port = int(sys.argv[1])
sender = Connected(port, "sender")


def send():
    for payload, retain in (("on", True), ("off", True), ("event", False)):
        sender.publish("t", payload, qos=2, retain=retain)


def came(client):
    wait_until(lambda: len(client.messages) == 3)
    return [(message.payload.decode(), message.qos, int(message.retain)) for message in client.messages]


client = Connected(port, "client", clean=False)
client.subscribe("t", qos=1)
send()
there = came(client)
client.disconnect()
send()
waited = came(Connected(port, "client", clean=False))
print("while it is there:", there)
print("what waited for it:", waited)
sys.exit(there != [("on", 1, 0), ("off", 1, 0), ("event", 1, 0)] or waited != [("on", 2, 1), ("off", 2, 1), ("event", 2, 0)])
PYTHON
