"""Activations by name: `ACTIVATIONS`, `find` and `get`."""

from collections.abc import Container, Mapping
from typing import Any

from mlp.activations.base import Activation
from mlp.activations.custom import Custom, CustomActivation
from mlp.activations.further import ELU, GELU, Exponential, LeakyReLU, SiLU
from mlp.activations.lecture import Identity, Logistic, ReLU, Softmax, Softplus, Tanh, Threshold
from mlp.checks import make_call, shown

_LECTURE = (Identity, ReLU, Softplus, Threshold, Logistic, Tanh, Softmax)
_FURTHER = (LeakyReLU, ELU, GELU, SiLU, Exponential)

#: By the names without parameters, which stand for those with the usual ones.
ACTIVATIONS: dict[str, Activation] = {kind.name: kind() for kind in (*_LECTURE, *_FURTHER)}

#: What other libraries call them: an error then says what they are called here.
SYNONYMS = {
    "sigmoid": "logistic",
    "expit": "logistic",
    "linear": "identity",
    "none": "identity",
    "heaviside": "threshold",
    "step": "threshold",
    "rectifier": "relu",
    "swish": "silu",
    "leakyrelu": "leaky_relu",
    "lrelu": "leaky_relu",
    "exp": "exponential",
}


def is_named(name: str, known: Container[str]) -> bool:
    """Whether a name, or what it says before its parameters, is one of those known."""
    return name in known or name.partition(":")[0] in known


def find(name: Any, known: Mapping[str, Activation], argument: str = "activation") -> Activation:
    """The activation of that name among those known, which may include the user's own: "elu", or "elu:0.5"."""
    if isinstance(name, str) and name in known:
        return known[name]
    found: Activation = make_call(argument, name, known, SYNONYMS)
    return found


def get(activation: Any, argument: str = "activation") -> Activation:
    """The activation of that name, or the user's own object made ready for a layer."""
    if isinstance(activation, str):
        return find(activation, ACTIVATIONS, argument)
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, CustomActivation) and not isinstance(activation, type):
        custom = Custom(activation)
        if is_named(custom.name, ACTIVATIONS):
            raise ValueError(
                f"{argument}: received an activation of your own called {custom.name!r}, as one of mlp's is: rename it"
            )
        return custom
    raise TypeError(
        f"{argument}: received {shown(activation)}, but it must be one of {', '.join(ACTIVATIONS)}, "
        "or an object with value(z) and derivative(z)"
    )
