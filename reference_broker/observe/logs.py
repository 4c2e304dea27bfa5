"""Where lines for people go, and what they look like.

Belongs here: the handler and the two forms. Does not belong here: what is worth a line, and that no payload and no
password is in one (whoever writes it).
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from reference_broker.net.config import ConfigError
from reference_broker.net.errors import reason_of
from reference_broker.observe.config import LogFormat, ObservedConfig

_SYSLOG = Path("/dev/log")


class _Json(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.gmtime(record.created)
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{int(record.msecs):03d}Z"
        return json.dumps({"time": moment, "level": record.levelname.lower(), "message": record.getMessage()})


def log_handler(config: ObservedConfig) -> logging.Handler:
    """What takes the broker's lines; raises ConfigError for a place that cannot be written to."""
    from logging import handlers  # noqa: PLC0415 - takes the broker a tenth of its start

    try:
        if config.log_file is not None:
            handler: logging.Handler = handlers.WatchedFileHandler(config.log_file, encoding="utf-8")
        elif config.log_to_syslog:
            handler = handlers.SysLogHandler(str(_SYSLOG))
        else:
            handler = logging.StreamHandler()
    except OSError as error:
        raise ConfigError(f"cannot log to {config.log_file or _SYSLOG}: {reason_of(error)}") from None
    if config.log_format is LogFormat.JSON:
        handler.setFormatter(_Json())
    elif config.log_to_syslog:  # which knows the time
        handler.setFormatter(logging.Formatter("mqtt-interop: %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    return handler
