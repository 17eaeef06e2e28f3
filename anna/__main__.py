"""`python -m anna`: the command line of `anna.cli`."""

import sys

from anna.cli import main

if __name__ == "__main__":
    sys.exit(main())
