"""`Committee`: several trained networks that answer together, by the mean of their outputs.

Networks that differ in their start or in the distortions they were trained on make different mistakes, of which the mean
of their outputs makes fewer than most of them (Meier, Ciresan, Gambardella and Schmidhuber 2011).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import shown
from mlp.network import MLP, answers

if TYPE_CHECKING:
    from mlp.data.preparation import Preparation


class Committee:
    """Networks with the same inputs, outputs and output activation; `forward` and `predict` are as a network's own.

    >>> committee = Committee([mlp.load(path) for path in paths])                    # doctest: +SKIP
    >>> labels = committee.predict(test.X)                                           # doctest: +SKIP
    """

    def __init__(self, members: Iterable[MLP]):
        if not isinstance(members, Iterable):
            raise TypeError(f"members: received {shown(members)}, but it must be networks, such as a list of MLP")
        self.members = list(members)
        if not self.members:
            raise ValueError("members: received none, but a committee needs one network at least")
        for number, net in enumerate(self.members):
            if not isinstance(net, MLP):
                raise TypeError(f"members: number {number} is {shown(net)}, but each must be an MLP")
            given, first = ((of.sizes[0], of.sizes[-1], of.output.name) for of in (net, self.members[0]))
            if given != first:
                raise ValueError(
                    f"members: number {number} has {given[0]} inputs and {given[1]} {given[2]} outputs, but all must be as the "
                    f"first: {first[0]} and {first[1]} {first[2]}"
                )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The first member's dtype, in which inputs must be finite."""
        return self.members[0].dtype

    @property
    def sizes(self) -> list[int]:
        """The numbers of inputs and outputs, which all members have in common."""
        return [self.members[0].sizes[0], self.members[0].sizes[-1]]

    @property
    def output(self) -> Activation:
        """The members' output activation."""
        return self.members[0].output

    def forward(self, X: Any) -> Array:
        """The mean of the members' outputs, (n, units), for X (n, features), which is taken as in `MLP.forward`."""
        outputs: Array = np.mean([net.forward(X) for net in self.members], axis=0)
        return outputs

    def predict(self, X: Any) -> Array:
        """Class labels, (n,), by the mean of the outputs; of other outputs than softmax and logistic, that mean itself.

        Where all members have the same `preparation`, X is raw data and the answers are named, as `MLP.predict` has them.
        """
        preparation = self.preparation
        outputs = self.forward(X if preparation is None else preparation.inputs(X, self.dtype))
        found = answers(outputs, self.output, self.dtype)
        return found if preparation is None else preparation.answers(outputs)

    @property
    def preparation(self) -> "Preparation | None":
        """What all members have done to raw data, if it is the same."""
        first = self.members[0].preparation
        return first if all(net.preparation == first for net in self.members) else None

    def __repr__(self) -> str:
        return f"Committee({self.members!r})"
