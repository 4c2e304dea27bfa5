"""The guard of containers: removes those of an owner that is gone. Started by `container`, as a file.

Belongs here: nothing that is not needed when the owner was killed; the engine's library is loaded only then.
Does not belong here: processes (`interop.guard`); whose containers are whose (`container`).

Standard input brings the label of the owner's containers, a line; its end is the owner's.
"""

from __future__ import annotations

import sys
import time

_LOOKS = 3
_BETWEEN_SECONDS = 1.0
"""What the owner asked of the engine at its last moment is made a little later."""


def main() -> None:
    """Read to the end of standard input, then remove what is left, and what is still to come."""
    labels = set(sys.stdin.read().split())

    import docker  # noqa: PLC0415  # it is slow to load, and seldom needed
    from docker.errors import DockerException  # noqa: PLC0415

    for look in range(_LOOKS):
        time.sleep(_BETWEEN_SECONDS if look else 0)
        engine = docker.from_env()
        for label in labels:
            for container in engine.containers.list(all=True, filters={"label": label}, ignore_removed=True):
                try:
                    container.remove(force=True, v=True)
                except DockerException:  # it is being removed
                    continue
        engine.close()


if __name__ == "__main__":
    main()
