"""What the command lines share: a parser with one-line errors, checks of options, and output that nothing can break."""

import argparse
import difflib
import io
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TextIO


class Parser(argparse.ArgumentParser):
    """A parser with one-line errors, without the usage before them, and help as wide as the terminal.

    Args:
        prog: the command, as it is typed.
        synonyms: what people may call an option instead ("lr"), and its name ("learning_rate"): only for suggestions.
        settings: of `argparse.ArgumentParser`.
    """

    def __init__(self, prog: str, synonyms: Mapping[str, str] | None = None, **settings: Any):
        width = min(110, shutil.get_terminal_size().columns)

        def formatter(prog: str) -> argparse.HelpFormatter:
            return argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=width)

        super().__init__(prog, formatter_class=formatter, **settings)
        self.synonyms = {_flag(word): _flag(name) for word, name in (synonyms or {}).items()}

    def error(self, message: str) -> NoReturn:
        unknown = re.match("unrecognized arguments: (-+[^ =]+)", message)
        if unknown:
            message += self._suggestion(unknown[1])
        complain(f"{self.prog}: error: {message}")
        self.exit(2)

    def _suggestion(self, word: str) -> str:
        """The option that was probably meant, if any is close."""
        known = {flag: flag for flag in self._option_string_actions if flag.startswith("--")} | self.synonyms
        close = difflib.get_close_matches(_flag(word.lstrip("-").lower()), known, n=1, cutoff=0.7)
        return f"; did you mean {known[close[0]]}?" if close else ""


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def checked(check: Callable[[str], Any]) -> Callable[[str], Any]:
    """A check as argparse wants it: its message is the error, behind the option's name."""

    def convert(text: str) -> Any:
        try:
            return check(text)
        except (ValueError, TypeError) as error:
            raise argparse.ArgumentTypeError(str(error).split(": ", 1)[-1]) from error

    return convert


class _Nowhere(io.StringIO):
    """An output that forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


def say(text: str) -> None:
    """Print a line at once. Where it can't be written (the reader has gone, the disk is full), the work goes on in silence."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):  # ValueError: it was closed
        sys.stdout = _Nowhere()


def complain(text: str) -> None:
    """Print a line on stderr, if there is one that can be written."""
    try:
        if sys.stderr is not None:  # None where it was closed when the process started
            print(wrapped(text, sys.stderr), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        sys.stderr = _Nowhere()


def wrapped(line: str, stream: TextIO | None = None) -> str:
    """A line as the stream (stdout) should get it: on a terminal broken between words, the rest indented."""
    stream = stream or sys.stdout
    if stream is None or not stream.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def run(prog: str, command: Callable[[], int]) -> int:
    """Do a command; bad input is one line on stderr and exit status 2, Ctrl-C is 130."""
    try:
        return command()
    except KeyboardInterrupt:
        complain(f"{prog}: interrupted")
        return 130
    except (ValueError, TypeError, OSError, MemoryError) as error:
        complain(f"{prog}: error: {error}")
        return 2


def forgive_encoding() -> None:
    """Let what the output's encoding lacks, such as λ on some systems, be shown as a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
