#!/usr/bin/env bash
# Twenty messages in a row are one too many: against mosquitto's defaults the twentieth is refused and gone.
#
# Packages: gmqtt 0.8.0 (PyPI), mosquitto 2.0.11-1.2+deb12u2 (Debian 12), which announces Receive Maximum 20.
# Expected: [5.0 MQTT-3.3.4-7] a client has no more QoS 1 messages in flight than the server's Receive Maximum, 20 here. What is more
#   waits: 4.9 lets the sender go on when acknowledgements come in, and `publish` of gmqtt cannot be awaited, it only hands over.
# Happens: `publish` raises OverflowError, "All ids has already used. May be your QoS queue is full.", at the twentieth message, with
#   19 in flight, and keeps nothing of it. An application that publishes a batch in one go loses its rest, or ends. With a Receive
#   Maximum of 65,535, as a server without the property has it, nothing of this is to be seen.
# Upstream: no report found for the limit; the message is the one of https://github.com/wialon/gmqtt/issues/123.
#
# Seen on 2026-11-28:
#   Receive Maximum 20: 30 published in a row, 19 taken, then OverflowError; 19 arrived
source "$(dirname "$0")/common.sh"

pypi gmqtt==0.8.0
mosquitto_broker

run_python "$port" <<'PYTHON'
import asyncio
import sys

import gmqtt

port = int(sys.argv[1])


async def main():
    got, subscribed = [], asyncio.Event()
    subscriber = gmqtt.Client("subscriber")
    subscriber.on_message = lambda _client, _topic, payload, *_: got.append(payload) or 0
    subscriber.on_subscribe = lambda *_: subscribed.set()
    await subscriber.connect("127.0.0.1", port)
    subscriber.subscribe("t", qos=1)
    await asyncio.wait_for(subscribed.wait(), 5)
    connected = asyncio.Event()
    limit = []
    publisher = gmqtt.Client("publisher")

    def on_connect(_client, _flags, _reason, properties):
        limit.extend(properties["receive_maximum"])
        connected.set()

    publisher.on_connect = on_connect
    await publisher.connect("127.0.0.1", port)
    await asyncio.wait_for(connected.wait(), 5)
    taken, refused = 0, None
    try:
        for number in range(30):
            publisher.publish("t", str(number), qos=1)
            taken += 1
    except OverflowError as error:
        refused = type(error).__name__
    await asyncio.sleep(1)
    print(f"Receive Maximum {limit[0]}: 30 published in a row, {taken} taken, then {refused}; {len(got)} arrived")
    await publisher.disconnect()
    await subscriber.disconnect()
    return (limit[0], taken, refused, len(got)) == (20, 19, "OverflowError", 19)


sys.exit(not asyncio.run(main()))
PYTHON
