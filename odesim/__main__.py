"""``python -m odesim`` is the command ``odesim``."""

import sys

from odesim.cli import main

if __name__ == "__main__":
    sys.exit(main())
