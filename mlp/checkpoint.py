"""Models and runs on disk: `save`, `load`, and `Run`, the directory that a training run writes.

A model file is a NumPy .npz archive (a zip of .npy arrays) with two members and nothing executable in it:

    header.npy   UTF-8 JSON as bytes (uint8): {"format": "mlp-model", "version": 1, "dtype": "float32",
                 "layers": [{"fan_in": 784, "units": 256, "activation": "relu"}, …], "notes": …}
    theta.npy    every parameter, one vector: W¹ row by row, b¹, W², b², …

A run's directory holds config.json (everything that decides how the run goes), metrics.csv (a line an epoch, written as
the epoch ends) and model.npz.
"""

import csv
import io
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlp.activations import ACTIVATIONS
from mlp.blas import Array
from mlp.checks import shown
from mlp.layers import Dense
from mlp.network import DTYPES, MLP

FORMAT, VERSION = "mlp-model", 1

_HEADER_LIMIT = 1 << 24


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write that takes the path's name only when it is complete and on the disk; otherwise nothing changes."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save(path: str | os.PathLike[str], net: MLP, notes: Any = None) -> None:
    """Write a network to a file, whole or not at all.

    Args:
        path: where; an existing file is replaced once the new one is complete.
        net: the network. Activations of your own are saved by name, and must be given to `load` again.
        notes: anything that JSON can hold, to go with the model (`load_notes` reads it).
    """
    if not isinstance(net, MLP):
        raise TypeError(f"net: received {shown(net)}, but it must be an MLP")
    for layer in net.layers:
        name = layer.activation.name
        if name in ACTIVATIONS and type(layer.activation) is not type(ACTIVATIONS[name]):
            raise ValueError(f"net: has an activation of your own called {name!r}, as one of mlp's is: give it another name")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": net.dtype.name,
        "layers": [{"fan_in": layer.fan_in, "units": layer.units, "activation": layer.activation.name} for layer in net.layers],
        "notes": notes,
    }
    try:
        encoded = np.frombuffer(json.dumps(header).encode(), np.uint8)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"notes: received {shown(notes)}, but JSON must be able to hold them ({error})") from error
    if encoded.size > _HEADER_LIMIT:
        raise ValueError(f"notes: received {encoded.size:,} bytes with the header, but at most {_HEADER_LIMIT:,} are allowed")
    with atomic_write(path) as stream:
        np.savez(stream, header=encoded, theta=net.theta)


def load(path: str | os.PathLike[str], activations: Mapping[str, Any] | None = None) -> MLP:
    """The network in a file.

    Args:
        path: a file that `save` wrote.
        activations: the objects behind activations of your own, by name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no model, or is damaged. Sizes are checked before memory is taken for the parameters.
    """
    header, theta = _read(Path(path))
    known = {**ACTIVATIONS, **(activations or {})}
    descriptions = header["layers"]
    size = sum(description["units"] * (description["fan_in"] + 1) for description in descriptions)
    if size != theta.size:
        raise ValueError(f"{path}: holds {theta.size:,} parameters, but its layers have {size:,}")
    for description in descriptions:
        name = description["activation"]
        if name not in known:
            raise ValueError(
                f"{path}: uses the activation {name!r}, which is none of {', '.join(known)}; if it is your own, give it to "
                f"load: activations={{{name!r}: …}}"
            )
    try:
        layers = [Dense(of["fan_in"], of["units"], known[of["activation"]]) for of in descriptions]
        net = MLP(layers, dtype=header["dtype"], seed=0, init=_zeros)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a model: its layers make no network ({error})") from error
    net.theta[...] = theta
    return net


def _zeros(n_in: int, n_out: int, rng: np.random.Generator) -> Array:  # noqa: ARG001  (an initialiser has a generator)
    return np.zeros((n_out, n_in))


def load_notes(path: str | os.PathLike[str]) -> Any:
    """What `save` was given as notes."""
    return _read(Path(path))[0]["notes"]


def _read(path: Path) -> tuple[dict[str, Any], Array]:
    """The header and θ of a model file, each checked."""
    with path.open("rb") as stream:
        try:
            members = _read_members(stream, os.fstat(stream.fileno()).st_size)
        except Exception as error:  # zipfile's and numpy's parsers raise a dozen kinds over a damaged file
            raise ValueError(f"{path}: not a model, or damaged: {error}") from error
    header, theta = _checked_header(path, members["header.npy"]), members["theta.npy"]
    if theta.dtype.name != header["dtype"] or theta.ndim != 1:
        raise ValueError(
            f"{path}: holds parameters of {theta.dtype} in shape {theta.shape}, "
            f"but its header says {header['dtype']}, and they must be one vector"
        )
    return header, theta


def _read_members(stream: IO[bytes], size: int) -> dict[str, Array]:
    """The two arrays in an open model file of that size."""
    with zipfile.ZipFile(stream) as archive:
        if sorted(archive.namelist()) != ["header.npy", "theta.npy"]:
            raise ValueError(f"it holds {', '.join(archive.namelist()) or 'nothing'}")
        stream.seek(size - 22)
        if stream.read(4) != b"PK\5\6":  # the archive's last record, of 22 bytes
            raise ValueError("more follows the end of its archive")
        members = {}
        for member in archive.infolist():
            limit = _HEADER_LIMIT + 128 if member.filename == "header.npy" else size  # 128: the array's own header
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > size:
                raise ValueError(f"{member.filename} is compressed or larger than the file")
            if member.file_size > limit:
                raise ValueError(f"{member.filename} has {member.file_size:,} bytes, more than the {limit:,} allowed")
            try:
                # the bytes are checked against the archive's CRC as they are read
                members[member.filename] = _array(archive.read(member))
            except Exception as error:
                raise ValueError(f"{member.filename} is damaged ({error})") from error
    return members


def _array(content: bytes) -> Array:
    """The array in a .npy file, whose own header is checked against the bytes that follow it."""
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it is no .npy file of version 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    left = len(content) - stream.tell()
    if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != left:
        raise ValueError(f"it promises {dtype} of shape {shape}, but {left:,} bytes follow")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def _checked_header(path: Path, encoded: Array) -> dict[str, Any]:
    try:
        if encoded.dtype != np.uint8:
            raise ValueError(f"it is {encoded.dtype}, not uint8")
        header: dict[str, Any] = json.loads(encoded.tobytes())
        found = header["format"], header["version"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: not a model: its header can't be read ({error})") from error
    if found != (FORMAT, VERSION):
        raise ValueError(
            f"{path}: is {found[0]!r} version {found[1]!r}, but this version of mlp reads {FORMAT!r} version {VERSION}"
        )
    layers = header.get("layers")
    if (
        header.get("dtype") not in DTYPES
        or not isinstance(layers, list)
        or not all(map(_is_layer, layers))
        or "notes" not in header
    ):
        raise ValueError(f"{path}: not a model: its header lacks the dtype, the layers or the notes")
    return header


def _is_layer(layer: Any) -> bool:
    """Whether this is a layer's description; sizes beyond 64 bits are none."""
    return (
        isinstance(layer, dict)
        and set(layer) == {"fan_in", "units", "activation"}
        and all(type(layer[size]) is int and 0 < layer[size] < 1 << 64 for size in ("fan_in", "units"))
        and isinstance(layer["activation"], str)
    )


class Run:
    """A run's directory: the configuration, the metrics per epoch and the model."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._columns: list[str] = []

    @classmethod
    def create(cls, directory: str | os.PathLike[str], configuration: Mapping[str, Any]) -> "Run":
        """A new run, in a directory that is new or empty; its configuration is written at once."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FileExistsError(f"{directory}: holds files already, but a run's directory must be new or empty")
        run = cls(directory)
        with atomic_write(directory / "config.json") as stream:
            stream.write(json.dumps(configuration, indent=2, ensure_ascii=False).encode() + b"\n")
        return run

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record to metrics.csv; the first one's names head the columns."""
        with (self.directory / "metrics.csv").open("a", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            if not self._columns:
                self._columns = list(record)
                table.writerow(self._columns)
            table.writerow(["" if record[name] is None else record[name] for name in self._columns])

    def save_model(self, net: MLP, notes: Any = None) -> Path:
        """Write model.npz; returns its path."""
        path = self.directory / "model.npz"
        save(path, net, notes)
        return path
