"""`python -m mlp.train`."""

import sys

from mlp.train import main

if __name__ == "__main__":
    sys.exit(main())
