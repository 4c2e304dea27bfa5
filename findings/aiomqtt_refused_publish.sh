#!/usr/bin/env bash
# A publish that raised is sent all the same, after the next connection; who tries again has published twice.
#
# Packages: aiomqtt 2.5.1 with paho-mqtt 2.2.0 (PyPI), mosquitto 2.0.11-1.2+deb12u2 (Debian 12).
# Expected: aiomqtt raises MqttCodeError, "The client is not currently connected", and its documentation (Reconnection) has the
#   application enter the same client again, `async with client`, in a loop. What raised was not published, it may be tried again.
# Happens: underneath, Paho has put the QoS 1 message into its queue and returned "not connected" beside it. The queue belongs to the
#   client object: when the application enters the client again and publishes once more, both are sent, in either order.
# Upstream: no report found.
#
# Seen on 2026-11-28:
#   publish while the broker is away: MqttCodeError [code:4] The client is not currently connected.
#   after connecting again and one more publish, a subscriber got: ['try 1', 'try 2']
source "$(dirname "$0")/common.sh"

pypi aiomqtt==2.5.1 paho-mqtt==2.2.0
mosquitto_broker

run_python "$port" "$(command -v mosquitto)" "$folder/mosquitto.conf" "${pids[0]}" <<'PYTHON'
import asyncio
import logging
import os
import signal
import subprocess
import sys

import aiomqtt

logging.disable()  # of the closed socket, asyncio has a traceback to show
port, program, configuration, pid = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


async def wait_for_broker():
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def main():
    client = aiomqtt.Client("127.0.0.1", port, identifier="publisher")
    raised = None
    try:
        async with client:
            os.kill(pid, signal.SIGTERM)
            await asyncio.sleep(1)
            await client.publish("t", "try 1", qos=1)
    except aiomqtt.MqttError as error:
        raised = error
    print("publish while the broker is away:", type(raised).__name__, raised)

    again = subprocess.Popen([program, "-c", configuration], stderr=subprocess.DEVNULL)
    got = []
    try:
        await wait_for_broker()
        async with aiomqtt.Client("127.0.0.1", port) as subscriber:
            await subscriber.subscribe("t", qos=1)
            async with client:
                await client.publish("t", "try 2", qos=1)
                await asyncio.sleep(1)
            for _ in range(len(subscriber.messages)):
                got.append((await anext(subscriber.messages)).payload.decode())
    finally:
        again.terminate()
        again.wait()
    print("after connecting again and one more publish, a subscriber got:", sorted(got))
    return raised is not None and sorted(got) == ["try 1", "try 2"]


sys.exit(not asyncio.run(main()))
PYTHON
