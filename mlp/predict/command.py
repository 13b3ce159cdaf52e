"""The command: options, and the story from a model and inputs to answers."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mlp import cli
from mlp.checkpoint import atomic_write
from mlp.predict.answers import Answers, answer, table_lines
from mlp.predict.inputs import Input, load_model, read_inputs

PROG = "python -m mlp.predict"

EPILOG = """\
inputs:
  pictures (PNG, JPEG and what else Pillow reads), or directories of them. The digit in it, dark on light or light on dark, is
      found, cropped and centred as MNIST's were; with --whole, a picture is only scaled to the network's size
  tables, as the network was trained on: extra columns and a missing target are no trouble; - is standard input
  IDX files of images, .npy and .npz files (X, or the only array in it)

examples:
  python -m mlp.predict runs/2026-01-31-101500 seven.png
  python -m mlp.predict runs/2026-01-31-101500 drawings/ --show seen.png
  python -m mlp.predict model.npz new.csv -o answers.csv
  python -m mlp.predict run1 --with run2 --with run3 t10k-images-idx3-ubyte.gz -o answers.csv
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 2 bad input."""
    cli.forgive_encoding()
    options = _parser().parse_args(arguments)
    return cli.run(PROG, lambda: _predict(options))


def _predict(options: argparse.Namespace) -> int:
    model = load_model([options.model, *options.committee], best=options.best)
    answered: list[tuple[Input, Answers]] = []
    failed = False
    for one in options.inputs:
        for read in read_inputs(one, model, whole=options.whole):
            if isinstance(read, Input):
                answered.append((read, answer(model, read)))
            else:  # the other inputs are answered all the same
                cli.complain(f"{PROG}: error: {read}")
                failed = True
    if answered:
        _tell(answered, options)
    return 2 if failed else 0


def _tell(answered: list[tuple[Input, Answers]], options: argparse.Namespace) -> None:
    """Print the answers, or write them where the options say."""
    if options.show is not None:
        from mlp.predict.show import show

        show(answered, options.show)
    if options.output is None and all(read.picture for read, _ in answered):
        for read, answers in answered:
            cli.say(f"{read.name}: {answers.sentence()}")
        return
    named = len(answered) > 1 or answered[0][0].picture
    lines = table_lines([(read.name, answers) for read, answers in answered], named)
    if options.output is None:
        cli.say("\n".join(lines))
    else:
        with atomic_write(options.output) as stream:
            stream.write(("\n".join(lines) + "\n").encode())
        rows = sum(len(answers) for _, answers in answered)
        cli.say(f"{options.output}: {rows:,} answer{'s' * (rows != 1)}")


def _parser() -> cli.Parser:
    parser = cli.Parser(
        PROG,
        {"out": "output", "to": "output", "raw": "whole", "as_is": "whole", "plot": "show", "committee": "with"},
        description="Let a trained network answer: a class with its probability, or a number.",
        epilog=EPILOG,
    )
    parser.add_argument("model", metavar="RUN_OR_MODEL", type=Path, help="a run's directory, or a model file")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="pictures, directories of pictures, tables, arrays")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write a CSV of all answers, with each class's probability"
    )
    parser.add_argument("--show", metavar="FILE.png", type=Path, help="draw what the network saw, and what it answered")
    parser.add_argument("--whole", action="store_true", help="take pictures as they are, scaled to the network's size")
    parser.add_argument("--best", action="store_true", help="of a run, take the model that did best on the validation set")
    parser.add_argument(
        "--with", dest="committee", metavar="RUN_OR_MODEL", type=Path, action="append", default=[],
        help="another model: all answer together, by the mean of their outputs (may be repeated)",
    )  # fmt: skip
    return parser
