#!/usr/bin/env bash
# One more subscription, at QoS 0, takes acknowledgement away from what another one was granted QoS 1 for, and so loses it.
#
# Packages: mosquitto 2.0.11-1.2+deb12u2 (Debian 12), paho-mqtt 2.2.0 (PyPI) on both sides.
# Expected: [3.1.1 MQTT-3.3.5-1] where subscriptions of a client overlap, a message is delivered at the highest QoS of those that
#   match it. Who has `alarm/#` at QoS 1 and opens a view of `alarm/1` at QoS 0 gets alarms at QoS 1 all the same.
# Happens: one copy is delivered, at the QoS of the filter that is found first, which is the one without a wildcard, in whatever order
#   they were made. What goes out just when the connection is lost is not sent again when the session goes on, though it was for
#   QoS 1. While the client is known to be away it is queued at QoS 1, so that tests with an absent client show nothing.
# Upstream: https://github.com/eclipse-mosquitto/mosquitto/issues/3319, point 4.
#
# Seen on 2026-11-29 (QoS of what came; payload and QoS of what came after the return):
#   alarm/# at 1: live [1]; sent just before the loss, and while away: [('loss', 1), ('away', 1)]
#   alarm/# at 1, alarm/1 at 0: live [0]; sent just before the loss, and while away: [('away', 1)]
source "$(dirname "$0")/common.sh"

pypi paho-mqtt==2.2.0
mosquitto_broker

run_python "$port" <<'PYTHON'
import sys

from connected import Connected, wait_until

port = int(sys.argv[1])
sender = Connected(port, "sender")


def lose(name, *subscriptions):
    client = Connected(port, name, clean=False)
    for topic_filter, qos in subscriptions:
        client.subscribe(topic_filter, qos)
    sender.publish("alarm/1", "live", qos=1)
    assert wait_until(lambda: client.messages)
    live = [message.qos for message in client.messages]
    client.client.loop_stop()  # what comes from here on, nobody reads
    sender.publish("alarm/1", "loss", qos=1)
    client.cut()
    wait_until(lambda: False, 0.5)
    sender.publish("alarm/1", "away", qos=1)
    client = Connected(port, name, clean=False)
    wait_until(lambda: len(client.messages) == 2, 1)
    returned = [(message.payload.decode(), message.qos) for message in client.messages]
    client.disconnect()
    Connected(port, name).disconnect()
    print(", ".join(f"{topic_filter} at {qos}" for topic_filter, qos in subscriptions), end=": ")
    print(f"live {live}; sent just before the loss, and while away: {returned}")
    return live, returned


alone, overlapping = lose("one", ("alarm/#", 1)), lose("two", ("alarm/#", 1), ("alarm/1", 0))
sys.exit(alone != ([1], [("loss", 1), ("away", 1)]) or overlapping != ([0], [("away", 1)]))
PYTHON
