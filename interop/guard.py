"""The guard: kills process groups whose owner is gone. Started by `lifeline`, as a file, with the bare interpreter.

Belongs here: nothing that needs more than that: it starts with every run's first child.
Does not belong here: who is guarded and why (`lifeline`).

Standard input brings a line for each group, `+123` when it began and `-123` when it ended; its end is the owner's.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Read to the end of standard input, then kill what is left."""
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
