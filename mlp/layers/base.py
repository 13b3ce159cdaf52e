"""`Layer`: what the network, the passes and the files ask of a layer, whatever it computes.

A layer is three verbs over a batch of examples: `forward` makes Z from the activations below, `propagate` sends the error
Δ to the layer below, and `gradient` adds up ∂C/∂W and its like. The activation σ and its derivative are applied by the
passes (backprop.py), between the verbs.

A layer of your own is a subclass that says `shapes` and writes the three verbs; all the rest has a default here. Read
dense.py as the example. Its class is handed to `mlp.load(path, layers={"Name": Class})` when it was saved with a network.
"""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from mlp import activations
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import as_array, converted, shown

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
    #: Whether `gradient` reads nothing of θ, so that a step of descent may be added straight into θ.
    adds_in_place: ClassVar[bool] = False
    #: Whether it is none of the network's own, but stands between those only during passes.
    inserted: ClassVar[bool] = False
    # A layer that leaves the next two as they are sees images as X has them, row by row and channels last.
    #: Whether it does the same to each unit, in whatever order they lie.
    elementwise: ClassVar[bool] = False
    #: Whether its inputs and outputs are images that lie [row][channel][column] during passes (turn.py).
    of_images: ClassVar[bool] = False

    fan_in: int
    units: int
    activation: Activation = activations.ACTIVATIONS["identity"]

    # Shapes

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The shape of an example's inputs: (fan_in,), or an image's height, width and channels."""
        return (self.fan_in,)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of an example's outputs: (units,), or maps of a height and a width: (height, width, maps)."""
        return (self.units,)

    def feature_shape(self, below: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in which a row of W is a picture of what its unit looks for, where the inputs are of shape `below`."""
        return below

    def placed(self, shape: tuple[int, ...], hidden: Activation) -> Self:
        """The layer over inputs of that shape; a layer that takes its sizes from there, or `hidden` as its activation where
        it has none of its own, is a copy. Raises ValueError if it doesn't fit."""
        if math.prod(shape) != self.fan_in:
            raise ValueError(f"its input is {show_shape(shape)}, but it takes {self.fan_in}")
        return self

    @property
    def multiply_adds(self) -> int:
        """How many products of two numbers a forward pass makes for one example: each weight's one."""
        return sum(math.prod(shape) for name, shape in self.shapes().items() if name in self.decayed)

    # Parameters

    def shapes(self) -> Shapes:
        """The parameters' shapes by name, in the order in which they lie in θ; none unless the layer says otherwise."""
        return {}

    @cached_property
    def size(self) -> int:
        """How many parameters the layer has; asked for in every step, and computed once."""
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
        numbers = as_array(f"init: {name}", drawn, f"an array {view.shape}")
        if numbers.shape != view.shape:
            raise ValueError(f"init: returned {name} of shape {numbers.shape}, but it must be {view.shape}")
        own = converted(f"init: {name}", numbers, view.dtype)
        if not np.isfinite(own).all():
            raise ValueError(f"init: {name}: received {own[~np.isfinite(own)][0]}, but every parameter must be finite")
        view[...] = own

    def name_of(self, component: int) -> str:
        """Which parameter a component of the layer's vector is: "W[3, 17]"."""
        for name, shape in self.shapes().items():
            if component < math.prod(shape):
                return f"{name}[{', '.join(map(str, np.unravel_index(component, shape)))}]"
            component -= math.prod(shape)
        raise IndexError(f"component: received {component} beyond the end of {self!r}")

    def rows(self, A: Array) -> Array:
        """The layer's activations or errors in a pass, (units, n), as rows of a new array, (n, units), with units in
        the order that X has (an image's row by row, channels last)."""
        return A.T.copy()

    # The three verbs. A batch of n examples is n columns; A⁰ alone is in column-major order, all else in row-major order

    def inputs(self, n: int, dtype: Any) -> Any:
        """Room for X, (n, fan_in), where the layer is the first: its transpose is A⁰, and all of A that it is handed."""
        return np.empty((n, self.fan_in), dtype)

    def scratch(self, n: int, dtype: Any) -> Any:
        """What the verbs need besides A, Z and Δ for n examples (masks, sums): made once, and handed to each of them."""
        return None

    @property
    def scratch_numbers(self) -> int:
        """How many numbers of scratch an example takes, about, where there are many: so that chunks stay within memory."""
        return 0

    def draw(self, scratch: Any, rng: np.random.Generator) -> None:
        """Draw anew what is random in a pass (a mask), in scratch; nothing unless the layer says otherwise.

        Called before each pass that has noise. A pass that has none finds the scratch as it was made.
        """

    @property
    def draws(self) -> bool:
        """Whether anything is random in a pass."""
        return type(self).draw is not Layer.draw

    def forward(self, A: Array, out: Array, scratch: Any) -> None:
        """out ← Z, (units, n), from the activations below, A (fan_in, n)."""
        raise NotImplementedError

    def propagate(self, Delta: Array, out: Array, scratch: Any) -> None:
        """out ← the error at the inputs, (fan_in, n), from the error Δ (units, n); before the layer below applies its σ′."""
        raise NotImplementedError

    def gradient(self, Delta: Array, A: Array, alpha: float, scratch: Any) -> None:
        """Add α times the gradient to this layer's own parameters, which are views of what is added up and not of θ.

        Δ (units, n) and A (fan_in, n) come from a pass. What the gradient needs of θ, `forward` keeps in scratch.
        """

    def add_squares(self, Delta: Array, A: Array, scratch: Any) -> None:
        """Add Σ (∂Cᵢ/∂θ)² over the examples, element by element, where `gradient` with α = 1 adds Σ ∂Cᵢ/∂θ.

        Each is a product of an error and an activation, so that it is the gradient of their squares; where a parameter is
        shared among several places, the sum of the places' squares.
        """
        self.gradient(Delta**2, A**2, 1.0, scratch)

    def linearised(self) -> "Layer":
        """The layer as it acts on small changes R{A} of its inputs, for Hessian products (curvature.py).

        Its verbs are linear in inputs, errors and parameters: W is this layer's own, biases are zeros of its own, and what
        a pass has left in scratch (a mask, windows, the largest of each) is read there and left there. A layer that is not
        linear in its inputs and in its parameters, each taken by itself, has none.
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
        of = read_description(cls, description, fan_in=int, units=int, activation=str)
        layer: Any = cls
        made: Self = layer(of["fan_in"], of["units"], activations.find(of["activation"], known))
        return made


def read_description(kind: type[Layer], description: Mapping[str, Any], **types: Any) -> Mapping[str, Any]:
    """A description, if it has these names and no others, with values of these types; lists are of integers, and all
    integers are below 2⁶², so that products of them are numbers. Raises ValueError."""
    if set(description) != set(types):
        found = ", ".join(description) or "nothing"
        raise ValueError(f"{kind.__name__}: described by {found}, but it must be by {', '.join(types)}")
    for name, allowed in types.items():
        value = description[name]
        numbers = value if isinstance(value, list) else [] if isinstance(value, str) else [value]
        if not isinstance(value, allowed) or not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
            words = {int: "an integer", list: "a list of integers", str: "a text", list | str: "a list of integers, or a text"}
            raise ValueError(f"{kind.__name__}: {name}: received {shown(value)}, but it must be {words[allowed]}")
    return description


def show_shape(shape: Sequence[int]) -> str:
    """A shape as messages and tables show it: "12 × 12 × 20"."""
    return " × ".join(map(str, shape))
