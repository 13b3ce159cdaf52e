"""What the scripts share: the option --out, and writing the picture there. (This is no script by itself.)

Unless --out says otherwise, pictures go to pictures/ at the top of the checkout, which git ignores.
"""

import argparse
import sys
from pathlib import Path

from matplotlib.figure import Figure

PICTURES = Path(__file__).parents[1] / "pictures"


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add the option --out, by default a file in PICTURES that is named as the script."""
    default = PICTURES / f"{Path(sys.argv[0]).stem}.png"
    shown = default.relative_to(Path.cwd()) if default.is_relative_to(Path.cwd()) else default
    parser.add_argument("--out", type=Path, default=shown, metavar="FILE", help="the picture (default: %(default)s)")


def write(figure: Figure, path: Path) -> None:
    """Write the picture, and say where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"wrote {path}")
