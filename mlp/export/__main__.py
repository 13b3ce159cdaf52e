"""`python -m mlp.export RUN-OR-MODEL… FILE`: writes a saved network for another program."""

import sys
from collections.abc import Sequence
from pathlib import Path

import mlp
from mlp import cli
from mlp.export.formats import write

EPILOG = """\
formats:
  .onnx         a graph for ONNX runtimes (of several models, the mean of their answers)
  .safetensors  tensors that torch.nn.Sequential takes as they are, and mlp.load
  .h            weights and a forward pass in C99, without allocation
  .html         a page on which one draws a digit, or fills in a form, and sees the network at work

examples:
  python -m mlp.export runs/2026-01-31-101500 digits.onnx
  python -m mlp.export first.npz second.npz committee.onnx
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 bad input."""
    cli.forgive_encoding()
    parser = cli.Parser(
        prog="python -m mlp.export",
        description="Write a saved network for another program, and say how closely what was written agrees with it.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="RUN-OR-MODEL", help="a run's directory (model.npz), or a model file"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what to write; its ending says in which format")
    options = parser.parse_args(arguments)
    return cli.run(parser.prog, lambda: _export(options.sources, options.file))


def _export(sources: Sequence[Path], file: Path) -> int:
    nets = [mlp.load(source / "model.npz" if source.is_dir() else source) for source in sources]
    agreement = write(file, nets[0] if len(nets) == 1 else mlp.Committee(nets))
    cli.say(f"wrote {file} ({file.stat().st_size:,} bytes): {agreement}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
