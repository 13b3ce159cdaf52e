"""What a network is made of, as the formats see it: `members_of`, `preparation_of`, and `look_up`, which finds how a layer is
written in a format's tables."""

from collections.abc import Mapping
from typing import TypeVar

from mlp.activations import Activation
from mlp.committee import Committee
from mlp.data.preparation import Preparation
from mlp.layers import kind_of
from mlp.network import MLP

LayerWriter = TypeVar("LayerWriter")
ActivationWriter = TypeVar("ActivationWriter")


def members_of(net: MLP | Committee) -> list[MLP]:
    """The networks of a committee; a network by itself is one of one."""
    return net.members if isinstance(net, Committee) else [net]


def preparation_of(net: MLP | Committee) -> Preparation | None:
    """What is done to raw data before the network sees it, or None; a committee's members must have it in common."""
    first, *others = (one.preparation for one in members_of(net))
    for number, other in enumerate(others, 1):
        if other != first:
            raise ValueError(
                f"net: number {number} takes data prepared otherwise than the first, but a file has one preparation"
            )
    return first


def look_up(
    net: MLP,
    number: int,
    layers: Mapping[str, LayerWriter],
    activations: Mapping[type[Activation], ActivationWriter],
    format: str,
) -> tuple[LayerWriter, ActivationWriter]:
    """How a layer and its activation are written, by a format's tables; ValueError if it can't express one of them."""
    layer = net.layers[number]
    kind, activation = kind_of(layer), layer.activation
    if kind not in layers:
        raise ValueError(f"net.layers[{number}]: is a {kind}, but {format} can express {', '.join(layers)} alone")
    if type(activation) not in activations:
        known = ", ".join(one.name for one in activations)
        raise ValueError(
            f"net.layers[{number}]: has the activation {activation.name!r}, but {format} can express {known} alone"
        )
    return layers[kind], activations[type(activation)]
