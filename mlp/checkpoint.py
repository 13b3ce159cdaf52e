"""Models and runs on disk: `save` and `load`, `save_state` and `load_state`, and `Run`, a training run's directory.

A model file is a NumPy .npz archive (a zip of .npy arrays) with two members and nothing executable in it:

    header.npy   UTF-8 JSON as bytes (uint8): {"format": "mlp-model", "version": 1, "dtype": "float32",
                 "layers": [{"fan_in": 784, "units": 256, "activation": "relu"}, …], "notes": …}
    theta.npy    every parameter, one vector: W¹ row by row, b¹, W², b², …

A state file, which a stopped run goes on from, is the same with another header and more vectors (see `State`):

    header.npy   {"format": "mlp-state", "version": 1, "minimiser": "sgd", "facts": {…}}
    theta.npy, safe.npy, velocity.npy, m.npy, v.npy, best.npy, average.npy     those of them that the minimiser has

A run's directory holds config.json (everything that decides how the run goes), metrics.csv (a line an epoch, written as
the epoch ends), state.npz (where it stands), best.npz (the model that did best on the validation set) and model.npz.
"""

import csv
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlp.activations import ACTIVATIONS, Activation
from mlp.blas import Array
from mlp.checks import DTYPES, shown
from mlp.layers import Dense
from mlp.network import MLP
from mlp.optimizers import State

FORMAT, STATE_FORMAT, VERSION = "mlp-model", "mlp-state", 1

_NAMES = {FORMAT: "a model", STATE_FORMAT: "a state"}
_MEMBERS = {f"{name}.npy" for name in ("header", "theta", "safe", "velocity", "m", "v", "best", "average", "direction")}
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
    except BaseException as error:
        part.unlink(missing_ok=True)
        _name_file(error, path)
        raise


def _name_file(error: BaseException, path: Path) -> None:
    """Let an error of the system's, such as a full disk, say which file it is about."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)


def save(path: str | os.PathLike[str], net: MLP, notes: Any = None) -> None:
    """Write a network to a file, whole or not at all.

    Args:
        path: where; an existing file is replaced once the new one is complete.
        net: the network. Activations of your own are saved by name, and must be given to `load` again.
        notes: anything that JSON can hold, to go with the model (`load_notes` reads it).
    """
    if not isinstance(net, MLP):
        raise TypeError(f"net: received {shown(net)}, but it must be an MLP")
    own: dict[str, Activation] = {}
    for layer in net.layers:
        name = layer.activation.name
        if name in ACTIVATIONS and type(layer.activation) is not type(ACTIVATIONS[name]):
            raise ValueError(f"net: has an activation of your own called {name!r}, as one of mlp's is: give it another name")
        if name not in ACTIVATIONS and not _same(layer.activation, own.setdefault(name, layer.activation)):
            raise ValueError(f"net: has two activations of your own called {name!r}: give each a `name` of its own")
    header = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": net.dtype.name,
        "layers": [{"fan_in": layer.fan_in, "units": layer.units, "activation": layer.activation.name} for layer in net.layers],
        "notes": notes,
    }
    encoded = _encoded(header, "notes", notes)
    with atomic_write(path) as stream:
        np.savez(stream, header=encoded, theta=net.theta)


def _same(a: Activation, b: Activation) -> bool:
    """Whether two layers' activations of the user's own are the same object."""
    return getattr(a, "custom", a) is getattr(b, "custom", b)


def load(path: str | os.PathLike[str], activations: Mapping[str, Any] | None = None) -> MLP:
    """The network in a file.

    Args:
        path: a file that `save` wrote.
        activations: the objects behind activations of your own, by name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no model, or is damaged. Sizes are checked before memory is taken for the parameters.
    """
    header, theta = _read_model(Path(path))
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
    return _read_model(Path(path))[0]["notes"]


def _encoded(header: dict[str, Any], argument: str, value: Any) -> Array:
    """A header as bytes; the argument is what in it may be unfit."""
    try:
        encoded = np.frombuffer(json.dumps(header).encode(), np.uint8)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{argument}: received {shown(value)}, but JSON must be able to hold them ({error})") from error
    if encoded.size > _HEADER_LIMIT:
        raise ValueError(
            f"{argument}: received {encoded.size:,} bytes with the header, but at most {_HEADER_LIMIT:,} are allowed"
        )
    return encoded


def save_state(path: str | os.PathLike[str], state: State) -> None:
    """Write where a run stands to a file, whole or not at all; an existing file is replaced once the new one is complete."""
    if not isinstance(state, State):
        raise TypeError(f"state: received {shown(state)}, but it must be a State")
    header = {"format": STATE_FORMAT, "version": VERSION, "minimiser": state.minimiser, "facts": state.facts}
    encoded = _encoded(header, "state.facts", state.facts)
    arrays: dict[str, Any] = {"header": encoded, **state.arrays}
    with atomic_write(path) as stream:
        np.savez(stream, **arrays)


def load_state(path: str | os.PathLike[str]) -> State:
    """The state in a file that `save_state` wrote; raises as `load` does."""
    path = Path(path)
    header, arrays = _read(path, STATE_FORMAT)
    if not isinstance(header.get("minimiser"), str) or not isinstance(header.get("facts"), dict):
        raise ValueError(f"{path}: not a state: its header lacks the minimiser or the facts")
    history = header["facts"].get("history")
    if not isinstance(history, list) or not all(isinstance(r, dict) and r and r.keys() == history[0].keys() for r in history):
        raise ValueError(f"{path}: not a state: its history is no list of records")
    for name, vector in arrays.items():
        if vector.shape != arrays["theta"].shape or vector.dtype.name not in DTYPES:
            raise ValueError(f"{path}: not a state: its {name} is {vector.dtype} of shape {vector.shape}, and not as theta")
    return State(header["minimiser"], arrays, header["facts"])


def _read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the vectors, by name, of a file of that format, each checked."""
    with path.open("rb") as stream:
        try:
            members = _read_members(stream, os.fstat(stream.fileno()).st_size)
            encoded = members.pop("header")
            if encoded.dtype != np.uint8:
                raise ValueError(f"its header is {encoded.dtype}, not uint8")
            header: dict[str, Any] = json.loads(encoded.tobytes())
            found = header["format"], header["version"]
        except Exception as error:  # zipfile's, numpy's and json's parsers raise a dozen kinds over a damaged file
            raise ValueError(f"{path}: not {_NAMES[kind]}, or damaged: {error}") from error
    if found != (kind, VERSION):
        raise ValueError(
            f"{path}: is {found[0]!r} version {found[1]!r}, but this version of mlp reads {kind!r} version {VERSION} here"
        )
    return header, members


def _read_members(stream: IO[bytes], size: int) -> dict[str, Array]:
    """The arrays in an open file of that size, by name."""
    with zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
        if len(names) != len(set(names)) or not {"header.npy", "theta.npy"} <= set(names) <= _MEMBERS:
            raise ValueError(f"it holds {', '.join(archive.namelist()) or 'nothing'}")
        stream.seek(size - 22)
        if stream.read(4) != b"PK\5\6":  # the archive's last record, of 22 bytes
            raise ValueError("more follows the end of its archive")
        if min(member.header_offset for member in archive.infolist()):
            raise ValueError("more stands before its archive")
        members = {}
        for member in archive.infolist():
            limit = _HEADER_LIMIT + 128 if member.filename == "header.npy" else size  # 128: the array's own header
            if member.compress_type != zipfile.ZIP_STORED or max(member.file_size, member.compress_size) > size:
                raise ValueError(f"{member.filename} is compressed or larger than the file")
            if member.file_size > limit:
                raise ValueError(f"{member.filename} has {member.file_size:,} bytes, more than the {limit:,} allowed")
            try:
                # the bytes are checked against the archive's CRC as they are read
                members[member.filename.removesuffix(".npy")] = _array(archive.read(member))
            except Exception as error:
                raise ValueError(f"{member.filename} is damaged ({error})") from error
    return members


def _array(content: bytes) -> Array:
    """The vector in a .npy file, whose own header must be as numpy writes it and is checked against the bytes that follow."""
    start = 10 + int.from_bytes(content[8:10], "little")
    header = _VECTOR.fullmatch(content[10:start])
    if not content.startswith(b"\x93NUMPY\x01\x00") or header is None:
        raise ValueError(
            f"its header is {content[10:start][:100].strip()!r}, but it must be that of a vector of uint8, float32 or float64 "
            "in .npy's version 1.0"
        )
    dtype, size = np.dtype(header["dtype"].decode()), int(header["size"])
    if size * dtype.itemsize != len(content) - start:
        raise ValueError(f"it promises {size:,} numbers of {dtype}, but {len(content) - start:,} bytes follow")
    return np.frombuffer(content, dtype, offset=start)


#: A .npy header of a vector of unsigned bytes or of floating-point numbers.
_VECTOR = re.compile(
    rb"\{'descr': '(?P<dtype>\|u1|[<>]f[48])', 'fortran_order': False, 'shape': \((?P<size>[0-9]{1,19}),\), \} *\n"
)


def _read_model(path: Path) -> tuple[dict[str, Any], Array]:
    """The header and θ of a model file, each checked."""
    header, vectors = _read(path, FORMAT)
    layers = header.get("layers")
    if (
        header.get("dtype") not in DTYPES
        or not isinstance(layers, list)
        or not all(map(_is_layer, layers))
        or "notes" not in header
        or set(vectors) != {"theta"}
    ):
        raise ValueError(f"{path}: not a model: its header lacks the dtype, the layers or the notes")
    theta = vectors["theta"]
    if theta.dtype.name != header["dtype"]:
        raise ValueError(f"{path}: holds parameters of {theta.dtype}, but its header says {header['dtype']}")
    return header, theta


def _is_layer(layer: Any) -> bool:
    """Whether this is a layer's description; sizes beyond 64 bits are none."""
    return (
        isinstance(layer, dict)
        and set(layer) == {"fan_in", "units", "activation"}
        and all(type(layer[size]) is int and 0 < layer[size] < 1 << 64 for size in ("fan_in", "units"))
        and isinstance(layer["activation"], str)
    )


class Run:
    """A run's directory, which one process at a time may write: configuration, metrics, state and model."""

    def __init__(self, directory: Path):
        self.lock = _lock(directory)
        self.directory = directory
        self._columns: list[str] = []
        for part in directory.glob(".*.part"):  # of a process that was killed while it wrote
            part.unlink()

    @classmethod
    def create(cls, directory: str | os.PathLike[str], configuration: Mapping[str, Any]) -> "Run":
        """A new run, in a directory that is new or empty; its configuration is written at once."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.glob("[!.]*")):  # what a process that was killed at its very start leaves begins with a dot
            raise FileExistsError(
                f"{directory}: holds files already, but a run's directory must be new or empty (--resume goes on with a run)"
            )
        run = cls(directory)
        with atomic_write(directory / "config.json") as stream:
            stream.write(json.dumps(configuration, indent=2, ensure_ascii=False).encode() + b"\n")
        return run

    @classmethod
    def resume(cls, directory: str | os.PathLike[str]) -> tuple["Run", dict[str, Any], State | None]:
        """An existing run, its configuration and its state (None: it was stopped before it first saved one).

        Whatever metrics.csv has beyond the state is dropped: it will be written again.
        """
        directory = Path(directory)
        configuration = read_configuration(directory)
        run = cls(directory)
        state = load_state(directory / "state.npz") if (directory / "state.npz").exists() else None
        if state is not None and state.facts["history"]:
            with atomic_write(directory / "metrics.csv") as stream:
                stream.write(run._lines(state.facts["history"]).encode())
        else:
            (directory / "metrics.csv").unlink(missing_ok=True)
        return run, configuration, state

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record to metrics.csv; the first one's names head the columns."""
        path = self.directory / "metrics.csv"
        try:
            with path.open("a", newline="", encoding="utf-8") as stream:
                stream.write(self._lines([record]))
        except OSError as error:
            _name_file(error, path)
            raise

    def _lines(self, records: Sequence[Mapping[str, Any]]) -> str:
        """Records as CSV, with the columns' names where none have been written yet."""
        text = io.StringIO(newline="")
        table = csv.writer(text)
        for record in records:
            if not self._columns:
                self._columns = list(record)
                table.writerow(self._columns)
            table.writerow(["" if record[name] is None else record[name] for name in self._columns])
        return text.getvalue()

    def save_state(self, state: State) -> None:
        """Write state.npz, from which the run can go on."""
        save_state(self.directory / "state.npz", state)

    def save_model(self, net: MLP, notes: Any = None, name: str = "model.npz") -> Path:
        """Write model.npz; returns its path."""
        path = self.directory / name
        save(path, net, notes)
        return path

    def close(self) -> None:
        """Let other processes have the directory."""
        if hasattr(self, "lock"):  # which it has not where it was refused
            self.lock.close()

    __del__ = close


def read_configuration(directory: Path) -> dict[str, Any]:
    """A run's config.json."""
    path = directory / "config.json"
    try:
        configuration: dict[str, Any] = json.loads(path.read_bytes())
        if not isinstance(configuration, dict) or not isinstance(configuration.get("options"), dict):
            raise ValueError("it holds no options")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{directory}: no run to go on with: it has no config.json") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a run's configuration, or damaged: {error}") from error
    return configuration


def _lock(directory: Path) -> IO[bytes]:
    """A file in the directory that this process holds the only lock of; the system lets go of it if the process dies."""
    stream = (directory / ".lock").open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        stream.close()
        raise BlockingIOError(f"{directory}: another process is writing this run") from error
    return stream
