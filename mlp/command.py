"""What the command lines share: options' checks, one-line errors, and output that no pipe breaks."""

import argparse
import difflib
import io
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser with one-line errors, without the usage before them, and help as wide as the terminal."""

    def __init__(self, prog: str, **settings: Any):
        width = min(110, shutil.get_terminal_size().columns)

        def formatter(prog: str) -> argparse.HelpFormatter:
            return argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=width)

        super().__init__(prog, formatter_class=formatter, **settings)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it, but an unknown option's error names the closest one that there is."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            wrong = next((word for word in unknown if word.startswith("-")), unknown[0])
            close = difflib.get_close_matches(wrong.split("=")[0], self._option_string_actions, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """A check as argparse wants it: its message is the error, behind the option's name."""

    def convert(text: str) -> Any:
        try:
            return check(text)
        except (ValueError, TypeError) as error:
            raise argparse.ArgumentTypeError(str(error).split(": ", 1)[-1]) from error

    return convert


def say(text: str) -> None:
    """Print a line at once. If who read the output has gone, as `head` does, the work goes on in silence."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for as long as the process lasts)


def run(prog: str, command: Callable[[], int]) -> int:
    """Do a command; bad input is one line on stderr and exit status 2, Ctrl-C is 130."""
    try:
        return command()
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, MemoryError) as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return 2


def forgive_encoding() -> None:
    """Let what the output's encoding lacks, such as λ on some systems, be shown as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
