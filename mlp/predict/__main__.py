"""`python -m mlp.predict`."""

import sys

from mlp.predict import main

if __name__ == "__main__":
    sys.exit(main())
