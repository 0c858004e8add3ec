"""`python -m tests.tfserving FLAGS`: the stand-in outside of its image."""

import sys

from tests.tfserving.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
