"""Layers as texts, as command lines have them: `parse` and, the way back, `format`.

conv:20:5,pool:2,conv:50:5,pool:2,500        LeNet's hidden layers
conv:50:5x3:tanh:stride=2:padding=same       a kernel of 5 rows and 3 columns, an activation of its own
conv:20:5:leaky_relu:0.1                     an activation with its parameter
meanpool:3:stride=2                          means over windows that overlap
"""

from collections.abc import Sequence
from typing import Any

from mlp.activations import ACTIVATIONS, is_named
from mlp.checks import check_integer, parse_call, shown
from mlp.layers.base import Layer
from mlp.layers.conv import Conv
from mlp.layers.pool import MaxPool, MeanPool
from mlp.layers.windows import BY_NAME, ImageLayer

#: The kinds of layer by the names they have in texts, and what can be said of each. ("pool" is written, "maxpool" read.)
_KINDS: dict[str, type[Conv | MaxPool | MeanPool]] = {"conv": Conv, "pool": MaxPool, "maxpool": MaxPool, "meanpool": MeanPool}
_PARAMETERS: dict[str, tuple[str, ...]] = {
    name: ("maps", "kernel", "activation", "stride", "padding") if kind is Conv else ("size", "stride")
    for name, kind in _KINDS.items()
}
_OF_ACTIVATIONS = {name: activation.parameters for name, activation in ACTIVATIONS.items()}


def parse(text: str, name: str = "layers") -> list[Any]:
    """The entries for `MLP` that a text names, sizes and layers: "conv:20:5,pool:2,500" is [Conv(20, 5), MaxPool(2), 500].

    "none" is no layer at all. Errors (ValueError) begin with `name`.
    """
    return [] if text.strip() == "none" else [_parse_entry(part.strip(), name) for part in text.split(",")]


def _parse_entry(text: str, name: str) -> int | Layer:
    if text.removeprefix("-").isdecimal():
        return check_integer(name, _whole(name, text), at_least=1)
    kind = text.partition(":")[0]
    if not kind.isalpha():
        raise ValueError(
            f"{name}: received {shown(text)}, but it must be a size such as 500, or a layer such as conv:20:5, pool:2 or "
            "meanpool:2"
        )
    kind, texts = parse_call(name, text, _PARAMETERS, values=_OF_ACTIVATIONS)
    arguments = {parameter: _parse_value(f"{name} {kind} {parameter}", parameter, word) for parameter, word in texts.items()}
    for parameter in _PARAMETERS[kind]:
        if parameter not in arguments and parameter not in ("activation", *BY_NAME):
            raise ValueError(f"{name}: received {shown(text)}, but {kind} needs its {parameter}: {_example(kind)}")
    try:
        return _KINDS[kind](**arguments)
    except ValueError as error:
        raise ValueError(f"{name} {kind} {error}") from None


def _example(kind: str) -> str:
    return "conv:20:5" if kind == "conv" else f"{kind}:2"


def _parse_value(name: str, parameter: str, word: str) -> Any:
    """A number, a pair such as 5x3, or a word where that may be one."""
    parts = word.split("x")
    if len(parts) <= (1 if parameter == "maps" else 2) and all(part.removeprefix("-").isdecimal() for part in parts):
        first, *second = (_whole(name, part) for part in parts)
        return (first, *second) if second else first
    if parameter == "activation" or (parameter == "padding" and word.isalpha()):
        return word
    raise ValueError(f"{name}: received {shown(word)}, but it must be an integer" + ("" if parameter == "maps" else " or 5x3"))


def _whole(name: str, text: str) -> int:
    """The integer that a text of digits spells, if Python reads that many."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}: received {shown(text)}, but it must be a number of fewer digits") from None


def format(entries: Sequence[Any]) -> str:
    """The text from which `parse` makes these entries again: sizes, `Conv`, `MaxPool` and `MeanPool`.

    Raises:
        ValueError: there is no text for one of them: another kind of layer, or an initialiser or activation of one's own.
    """
    return ",".join(_format_entry(number, entry) for number, entry in enumerate(entries)) or "none"


def _format_entry(number: int, entry: Any) -> str:
    if not isinstance(entry, Layer):
        return str(check_integer(f"layers[{number}]", entry, at_least=1))
    names = [name for name, kind in _KINDS.items() if kind is type(entry)]
    own = getattr(entry, "init", None) is not None or not is_named(entry.activation.name, ACTIVATIONS)
    if not names or not isinstance(entry, ImageLayer) or own:
        raise ValueError(
            f"layers[{number}]: received {entry!r}, but only sizes, Conv, MaxPool and MeanPool are written as texts, without "
            "initialisers and activations of one's own"
        )
    words = [names[0]]
    for name, value in entry.arguments().items():
        word = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words.append(f"{name}={word}" if name in BY_NAME else word)
    return ":".join(words)
