"""`python -m reference_broker` runs the broker; `python -m reference_broker pub` and `sub` run the client."""

import sys

from reference_broker.command import main

if __name__ == "__main__":
    sys.exit(main())
