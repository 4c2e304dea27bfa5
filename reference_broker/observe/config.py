"""What an operator wants to see.

Belongs here: the settings. Does not belong here: what is seen (`figures`), lines about peers (whoever writes them).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reference_broker.access.config import GuardedConfig
from reference_broker.net.config import ConfigError


class LogFormat(StrEnum):
    """What a line of the log looks like."""

    LINE = "line"
    """Time and text."""
    JSON = "json"
    """An object with `time`, `level` and `message`."""


@dataclass(frozen=True, slots=True)
class ObservedConfig(GuardedConfig):
    """A broker that says how it is."""

    # What can be seen of it.
    sys_interval_seconds: float = 0.0
    """How often `$SYS/broker/...` is published, by mosquitto's names; 0 for never, and then the topics are clients'."""
    metrics_port: int | None = None
    """HTTP port of `/metrics` for Prometheus and of `/health`."""
    metrics_host: str = "127.0.0.1"
    """Where that port listens. Nobody is asked for a password there."""
    log_format: LogFormat = LogFormat.LINE
    """A line of text or a JSON object for each event, neither ever with a payload or a password."""
    log_file: Path | None = None
    """File the log is appended to, which may be moved away at any time; None for standard error."""
    log_to_syslog: bool = False
    """Whether the log goes to the system's instead."""

    def __post_init__(self) -> None:
        GuardedConfig.__post_init__(self)
        if self.sys_interval_seconds < 0:
            raise ConfigError(f"sys_interval_seconds = {self.sys_interval_seconds} is less than 0")
        if self.metrics_port is not None and not 0 <= self.metrics_port <= 65_535:
            raise ConfigError(f"metrics_port: port {self.metrics_port} is not between 0 and 65535")
        if self.log_file is not None and self.log_to_syslog:
            raise ConfigError("the log goes to log_file or with log_to_syslog to the system's, not to both")
