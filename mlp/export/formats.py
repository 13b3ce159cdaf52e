"""`FORMATS`, what networks are exported to by the file's ending, and `write`, which checks each file before it is there.

A format is a module with two functions, `encode` and `answer`, which face each other:

    encode(net, name, notes) -> bytes         the file; ValueError where it can't express the network
    answer(content, net, samples) -> Answers  what the file's network, read back, makes of examples (see samples.py)

and, where `mlp.load` reads it,

    read(path) -> header, size, fill          as a model file's (see checkpoint/models.py)

It is imported when it is asked for, so that `import mlp` needs none of the packages behind it.
"""

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp.checkpoint.files import atomic_write
from mlp.checks import check_path, shown
from mlp.committee import Committee
from mlp.export.agreement import Agreement, compare
from mlp.export.samples import draw_samples
from mlp.network import MLP


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        module: where it is written and read back.
        extra: the packages that it needs, as pip is asked for them; "" if none.
        committees: whether a file may hold several networks that answer together.
        readable: whether `mlp.load` can make the network from it again.
    """

    module: str
    extra: str = ""
    committees: bool = False
    readable: bool = False


FORMATS = {
    ".onnx": Format("mlp.export.onnx", extra="onnx", committees=True),
    ".safetensors": Format("mlp.export.safetensors", extra="safetensors", readable=True),
    ".h": Format("mlp.export.c"),
    ".html": Format("mlp.export.page"),
}


def write(path: str | os.PathLike[str], net: MLP | Committee, notes: Any = None) -> Agreement:
    """Write a network for other programs, in the format that the path's ending names.

    The file is read back, and its answers compared with the network's own, before it takes the path's name: it is whole
    and right, or not there.

    Args:
        path: where; an existing file is replaced once the new one is complete and checked.
        net: the network; a committee goes into .onnx alone.
        notes: what JSON can hold, for the formats that have a place for it (.safetensors).

    Raises:
        ValueError: the ending is unknown, the format can't express the network, or what was written answers otherwise.
        ModuleNotFoundError: the format needs a package that isn't installed; the message says which extra brings it.
    """
    path = check_path("path", path)
    if not isinstance(net, MLP | Committee):
        raise TypeError(f"net: received {shown(net)}, but it must be an MLP or a Committee")
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"path: received {shown(path.name)}, but its ending must be one of .npz, {', '.join(FORMATS)}")
    if isinstance(net, Committee) and not FORMATS[ending].committees:
        able = ", ".join(name for name, format in FORMATS.items() if format.committees)
        raise ValueError(f"net: received a Committee for {path.name}, but only these files hold several networks: {able}")
    module = load_format(ending)
    content = module.encode(net, path.stem, notes)
    samples = draw_samples(net)
    with atomic_write(path) as stream:
        stream.write(content)
        stream.seek(0)
        return compare(path, net, samples, module.answer(stream.read(), net, samples))


def read(path: Path) -> tuple[dict[str, Any], int, Callable[[MLP], None]]:
    """The description of a network in such a file, how many parameters it has, and what puts them into a network."""
    ending = path.suffix.lower()
    if not FORMATS[ending].readable:
        able = ", ".join([".npz", *(name for name, format in FORMATS.items() if format.readable)])
        raise ValueError(f"{path}: {ending} files are for other programs; those that load reads again are {able}")
    found: tuple[dict[str, Any], int, Callable[[MLP], None]] = load_format(ending).read(path)
    return found


def load_format(ending: str) -> Any:
    """The module that writes files of that ending; ModuleNotFoundError says what to install for it."""
    chosen = FORMATS[ending]
    try:
        return importlib.import_module(chosen.module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != chosen.extra:
            raise
        raise ModuleNotFoundError(
            f"{ending} files need the package {chosen.extra!r}, which is missing: pip install 'layerwise-mlp[{chosen.extra}]'",
            name=error.name,
        ) from None
