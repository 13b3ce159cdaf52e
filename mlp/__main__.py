"""`python -m mlp`, which is the installed command `mlp`: one door to all the commands."""

import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import mlp
from mlp import cli
from mlp.checks import check_name

PROG = "mlp"


class _Command(NamedTuple):
    module: str  # has main(arguments) -> exit status
    help: str


_KNOWN = {
    "train": _Command("mlp.train", "train a network, on MNIST or other data"),
    "predict": _Command("mlp.predict", "let a trained network answer to pictures, tables or arrays"),
    "plots": _Command("mlp.plots.__main__", "draw the figures of a run or a model"),
    "runs": _Command("mlp.runs", "tabulate runs"),
    "export": _Command("mlp.export.__main__", "write a model for other programs"),
}


def _commands() -> dict[str, _Command]:
    """The commands that there are, by name."""
    return {name: command for name, command in _KNOWN.items() if _exists(command.module)}


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; returns its exit status, or 2 for bad input."""
    cli.forgive_encoding()
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = _commands()
    if words[:1] in (["help"], ["--help"], ["-h"]):
        words = [*words[1:2], "--help"] if words[1:] else []
        if not words:
            cli.say(_usage(commands))
            return 0
    if not words:
        cli.complain(_usage(commands))
        return 2
    if words[0] in ("--version", "-V"):
        cli.say(f"mlp {mlp.__version__}")
        return 0
    return cli.run(PROG, lambda: _run(words, commands))


def _run(words: list[str], commands: dict[str, _Command]) -> int:
    name = check_name("command", words[0], commands)
    status: int = importlib.import_module(commands[name].module).main(words[1:])
    return status


def _usage(commands: dict[str, _Command]) -> str:
    lines = [f"  {name:9} {command.help}" for name, command in commands.items()]
    return "\n".join(
        [
            "usage: mlp COMMAND …",
            "",
            *lines,
            "",
            "mlp help COMMAND, or mlp COMMAND --help, says more of each; mlp --version says which version this is.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
