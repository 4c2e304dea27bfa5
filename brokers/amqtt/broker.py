"""amqtt as a broker by name: what it is to be stands in a file.

Belongs here: those wishes in its configuration. Does not belong here: mending it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).with_name("build")))

from amqtt.broker import Broker


async def serve(wish: dict[str, Any]) -> None:
    """Run one until SIGTERM."""
    listener = {"type": wish["transport"], "bind": f"{wish['host']}:{wish['port']}", "max_connections": 10000}
    broker = Broker(
        {
            "listeners": {"default": listener},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
