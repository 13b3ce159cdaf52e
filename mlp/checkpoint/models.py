"""Model files: `save`, `load` and `load_notes`.

A model file is an archive (see `files`) of one vector, theta, which is every parameter: W¹ row by row, b¹, W², b², …; its
header is

    {"format": "mlp-model", "version": 1, "dtype": "float32",
     "layers": [{"fan_in": 784, "units": 256, "activation": "relu"}, …], "preparation": …, "notes": …}

Each layer stands there as it describes itself (`Layer.describe`), under the name of its kind; without one it is dense. Where
the input is an image, its "shape" stands before them. "preparation" is what `Preparation.describe` says of what is done to
raw data first, where the network has one.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlp import activations as own_or_built_in
from mlp.activations import ACTIVATIONS, Activation, is_named
from mlp.blas import Array
from mlp.checkpoint.files import VERSION, encode_header, read_archive, write_archive
from mlp.checks import DTYPES, check_path, shown
from mlp.data.preparation import read_preparation
from mlp.layers import KINDS, Dense, Layer, kind_of
from mlp.network import MLP, check_network

FORMAT = "mlp-model"

_BUILT_IN = {type(activation) for activation in ACTIVATIONS.values()}


def save(path: str | os.PathLike[str], net: MLP, notes: Any = None) -> None:
    """Write a network to a file, whole or not at all (see `atomic_write`), in the format that the path's ending names.

    .npz (or no ending) is mlp's own; the endings in `mlp.export.FORMATS` are for other programs: .onnx (for a `Committee`
    too), .safetensors, which `load` reads as well, and .h.

    Args:
        path: where; an existing file is replaced once the new one is complete.
        net: the network. Activations and layers of your own are saved by name, and must be given to `load` again.
        notes: anything that JSON can hold, to go with the model (`load_notes` reads it).
    """
    if check_path("path", path).suffix.lower() not in ("", ".npz"):
        from mlp import export

        export.write(path, net, notes)
        return
    header = describe_model(net, notes)
    write_archive(path, encode_header(header, "notes", notes), {"theta": net.theta})


def describe_model(net: MLP, notes: Any = None) -> dict[str, Any]:
    """The header of a model file, as JSON holds it: everything but the parameters."""
    check_network("net", net)
    _check_activations(net)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "dtype": net.dtype.name,
        **({"shape": list(net.in_shape)} if len(net.in_shape) > 1 else {}),
        "layers": [_describe(layer, f"net.layers[{number}]") for number, layer in enumerate(net.layers)],
        **({} if net.preparation is None else {"preparation": net.preparation.describe()}),
    }
    encode_header(header, "net", net)
    return {**header, "notes": notes}


def _describe(layer: Layer, argument: str) -> dict[str, Any]:
    """What a file says of a layer, from which `load` can make one of its class again."""
    kind, own = kind_of(layer), type(layer)
    if kind not in KINDS and "__init__" in vars(own) and "describe" not in vars(own):
        raise TypeError(
            f"{argument}: is a {own.__name__}, which says how it is made but not how it is described: give it describe() and "
            "from_description()"
        )
    return ({} if kind == Dense.kind else {"kind": kind}) | layer.describe()


def _check_activations(net: MLP) -> None:
    """Names stand for activations in a file: one name must not stand for two."""
    own: dict[str, Activation] = {}
    for activation in (layer.activation for layer in net.layers):
        name = activation.name
        if type(activation) in _BUILT_IN:
            continue
        if is_named(name, ACTIVATIONS):
            raise ValueError(f"net: has an activation of your own called {name!r}, as one of mlp's is: give it another name")
        if not _same(activation, own.setdefault(name, activation)):
            raise ValueError(f"net: has two activations of your own called {name!r}: give each a `name` of its own")


def _same(a: Activation, b: Activation) -> bool:
    """Whether two layers' activations of the user's own are the same object."""
    return getattr(a, "custom", a) is getattr(b, "custom", b)


def load(
    path: str | os.PathLike[str],
    activations: Mapping[str, Any] | None = None,
    layers: Mapping[str, Any] | None = None,
) -> MLP:
    """The network in a file.

    Args:
        path: a file that `save` wrote, .npz or .safetensors.
        activations: the objects behind activations of your own, by name.
        layers: the classes of layers of your own, by kind.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no model, or is damaged. Sizes are checked before memory is taken for the parameters.
        MemoryError, OSError: memory did not suffice, or the disk failed; the file may be well.
    """
    path = check_path("path", path)
    known = {**ACTIVATIONS}
    for name, activation in _checked("activations", activations).items():
        known[name] = own_or_built_in.get(activation, f"activations[{name!r}]")
    kinds = {**KINDS, **_checked("layers", layers)}
    header, size, fill = _read_model(path)
    try:
        net = restore_model(header, size, known, kinds)
        fill(net)
    except MemoryError as error:
        raise MemoryError(f"{path}: not enough memory for its {size:,} parameters") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a model: {error}") from error
    return net


def restore_model(
    header: Mapping[str, Any],
    size: int,
    known: Mapping[str, Activation] = ACTIVATIONS,
    kinds: Mapping[str, Any] = KINDS,
) -> MLP:
    """The network that a header describes, of so many parameters, all 0; ValueError if it describes none."""
    described = [_from_description(description, kinds, known) for description in header["layers"]]
    needed = sum(layer.size for layer in described)
    if needed != size:
        raise ValueError(f"it holds {size:,} parameters, but its layers have {needed:,}")
    shape = [tuple(header["shape"])] if "shape" in header else []
    net = MLP([*shape, *described], dtype=header["dtype"], seed=0, init=_zeros)
    net.preparation = read_preparation(header.get("preparation"), net)
    return net


def _checked(argument: str, given: Any) -> Mapping[str, Any]:
    """Objects by name, as `load` is given them."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{argument}: received {shown(given)}, but it must be a dictionary of {argument} by name")
    return given


def _from_description(description: Mapping[str, Any], kinds: Mapping[str, Any], known: Mapping[str, Any]) -> Layer:
    """A layer like the one that was described."""
    kind, activation = description.get("kind", "dense"), description.get("activation")
    if kind not in kinds:
        raise ValueError(
            f"it has a layer of the kind {kind!r}, which is none of {', '.join(kinds)}; if it is your own, give its class to "
            f"load: layers={{{kind!r}: …}}"
        )
    if isinstance(activation, str) and not is_named(activation, known):
        raise ValueError(
            f"it uses the activation {activation!r}, which is none of {', '.join(known)}; if it is your own, give it to "
            f"load: activations={{{activation!r}: …}}"
        )
    settings = {name: value for name, value in description.items() if name != "kind"}
    layer: Layer = kinds[kind].from_description(settings, known)
    return layer


def _zeros(n_in: int, n_out: int, rng: np.random.Generator) -> Array:  # noqa: ARG001  (an initialiser has a generator)
    return np.broadcast_to(0.0, (n_out, n_in))  # takes no memory


def load_notes(path: str | os.PathLike[str]) -> Any:
    """What `save` was given as notes."""
    return _read_model(check_path("path", path))[0]["notes"]


def _read_model(path: Path) -> tuple[dict[str, Any], int, Callable[[MLP], None]]:
    """The header of a model file, checked; how many parameters it has; and what puts them into a network."""
    if path.suffix.lower() not in ("", ".npz"):
        from mlp import export

        if path.suffix.lower() in export.FORMATS:
            return export.read(path)
    header, vectors = read_archive(path, FORMAT)
    check_header(path, header)
    if set(vectors) != {"theta"}:
        raise ValueError(f"{path}: not a model: it holds {', '.join(vectors)}, but a model holds theta alone")
    theta = vectors["theta"]
    if theta.dtype.name != header["dtype"]:
        raise ValueError(f"{path}: holds parameters of {theta.dtype}, but its header says {header['dtype']}")

    def fill(net: MLP) -> None:
        net.theta[...] = theta

    return header, theta.size, fill


def check_header(path: Path, header: Mapping[str, Any]) -> None:
    """Raise ValueError unless the header of a model file has what every one has."""
    layers = header.get("layers")
    if (
        header.get("dtype") not in DTYPES
        or not isinstance(layers, list)
        or not all(isinstance(layer, dict) and isinstance(layer.get("kind", "dense"), str) for layer in layers)
        or "notes" not in header
        or not isinstance(header.get("shape", []), list)
    ):
        raise ValueError(f"{path}: not a model: its header lacks the dtype, the layers or the notes")
