"""``python -m symtorch_cli`` is the command ``symtorch``."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
