"""`python -m pisensory` is the command `pisensory`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
