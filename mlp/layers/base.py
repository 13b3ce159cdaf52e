"""`Layer`: what the network, the passes and the files ask of a layer, whatever it computes.

A layer is three verbs over a batch of examples: `forward` makes Z from the activations below, `propagate` sends the error
Δ to the layer below, and `gradient` adds up ∂C/∂W and its like. The activation σ and its derivative are applied by the
passes (backprop.py), between the verbs.

A layer of your own is a subclass that says `shapes` and writes the three verbs; all the rest has a default here. Read
dense.py as the example. Its class is handed to `mlp.load(path, layers={"Name": Class})` when it was saved with a network.
"""

import math
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np

from mlp import activations
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import check_integer, converted

#: Parameters by name, each a view of θ or of a vector laid out as θ is.
Shapes = dict[str, tuple[int, ...]]


class Layer:
    """A layer from `fan_in` inputs to `units` outputs.

    Its parameters are views of one vector of `size` numbers, attributes of the names that `shapes` gives them (W, b). A
    network makes layers of its own from those it is given, with views of its θ: they are `net.layers`.

    Attributes:
        fan_in, units: number of inputs and of outputs.
        activation: σ, the identity unless the layer says otherwise.
    """

    #: What model files call this kind of layer. A subclass of your own goes by its class's name.
    kind: ClassVar[str] = ""
    #: Which parameters weight decay shrinks.
    decayed: ClassVar[tuple[str, ...]] = ()
    #: Which parameters are matrices of one row a unit, whose norm max-norm keeps short.
    normed: ClassVar[tuple[str, ...]] = ()

    #: Whether it is none of the network's own, but stands between those only while it is trained.
    inserted: ClassVar[bool] = False

    fan_in: int
    units: int
    activation: Activation = activations.ACTIVATIONS["identity"]

    # Parameters

    def shapes(self) -> Shapes:
        """The parameters' shapes by name, in the order in which they lie in θ; none unless the layer says otherwise."""
        return {}

    @property
    def size(self) -> int:
        """How many parameters the layer has."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    def __getattr__(self, name: str) -> Any:
        """A layer in no network has parameters of its own, zeros that are made when they are first asked for."""
        if "fan_in" not in self.__dict__ or name not in self.shapes():
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        self.__dict__.update(self.at(np.zeros(self.size)).__dict__)
        return self.__dict__[name]

    def parameters(self) -> dict[str, Array]:
        """The parameters by name: views, (…) as `shapes` says."""
        return {name: getattr(self, name) for name in self.shapes()}

    def at(self, vector: Array) -> Self:
        """The same layer with its parameters as views of another vector (size,); no number is copied."""
        layer = copy(self)
        start = 0
        for name, shape in self.shapes().items():
            end = start + math.prod(shape)
            setattr(layer, name, vector[start:end].reshape(shape))
            start = end
        return layer

    def initialize(self, rng: np.random.Generator, init: Any = "glorot_uniform") -> None:
        """Draw the parameters anew; without a rule of the layer's own, all become 0."""
        for view in self.parameters().values():
            view[...] = 0

    def draw_into(self, name: str, drawn: Any) -> None:
        """Take an initialiser's numbers as the parameter of that name, if they are of its shape and finite in its dtype."""
        view: Array = getattr(self, name)
        if np.shape(drawn) != view.shape:
            raise ValueError(f"init: returned {name} of shape {np.shape(drawn)}, but it must be {view.shape}")
        view[...] = converted(f"init, which returned {name}", drawn, view.dtype)

    def name_of(self, component: int) -> str:
        """Which parameter a component of the layer's vector is: "W[3, 17]"."""
        for name, shape in self.shapes().items():
            if component < math.prod(shape):
                return f"{name}[{', '.join(map(str, np.unravel_index(component, shape)))}]"
            component -= math.prod(shape)
        raise IndexError(f"component: received {component} beyond the end of {self!r}")

    # The three verbs. A batch of n examples is n columns; A⁰ alone is in column-major order, all else in row-major order

    def scratch(self, n: int, dtype: Any) -> Any:
        """What the verbs need besides A, Z and Δ for n examples (masks, sums): made once, and handed to each of them."""
        return None

    def draw(self, scratch: Any, rng: np.random.Generator) -> None:
        """Draw anew what is random in a pass (a mask); nothing unless the layer says otherwise."""

    def forward(self, A: Array, out: Array, scratch: Any) -> None:
        """out ← Z, (units, n), from the activations below, A (fan_in, n)."""
        raise NotImplementedError

    def propagate(self, Delta: Array, out: Array, scratch: Any) -> None:
        """out ← the error at the inputs, (fan_in, n), from the error Δ (units, n); before the layer below applies its σ′."""
        raise NotImplementedError

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: Any) -> None:
        """Add α times the gradient to this layer's own parameters, which are views of what is added up.

        Δ (units, n) and A (fan_in, n) come from a pass.
        """

    def linearised(self) -> Self:
        """The layer as it acts on small changes R{A} of its inputs, for Hessian products (curvature.py).

        Its verbs are linear in inputs, errors and parameters: W is this layer's own, biases are zeros of its own, and what
        a pass has chosen (a mask, the largest of each window) is read from that pass's scratch and left there. A layer
        that is not linear in its inputs and in its parameters, each taken by itself, has none.
        """
        raise TypeError(
            f"{type(self).__name__}: has no linearised(), which Hessian and Gauss–Newton products need of a layer of your own: "
            "the layer without its biases, if Z is linear in A and in its parameters (see Dense)"
        )

    # Files

    def describe(self) -> dict[str, Any]:
        """What a model file says of the layer, as JSON holds it; `from_description` takes it back."""
        return {"fan_in": self.fan_in, "units": self.units, "activation": self.activation.name}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], known: Mapping[str, Activation]) -> Self:
        """The layer that `describe` described, `known` being activations by name; no memory is taken for parameters.

        Raises:
            ValueError: the description isn't one of this kind of layer.
        """
        fan_in, units, activation = check_description(cls, description, known)
        layer: Any = cls
        made: Self = layer(fan_in, units, activation)
        return made


def check_description(
    kind: type[Layer], description: Mapping[str, Any], known: Mapping[str, Activation]
) -> tuple[int, int, Activation]:
    """fan_in, units and activation of a description that has these three and nothing else."""
    names = {"fan_in", "units", "activation"}
    if set(description) != names:
        raise ValueError(
            f"{kind.__name__}: described by {', '.join(description) or 'nothing'}, but it needs {', '.join(names)}"
        )
    fan_in, units = (check_integer(name, description[name], at_least=1, at_most=1 << 62) for name in ("fan_in", "units"))
    return fan_in, units, activations.find(description["activation"], known)
