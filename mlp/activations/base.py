"""`Activation`: σ and what the passes do with σ′ and σ″; every activation is a subclass."""

from typing import ClassVar

import numpy as np

from mlp.blas import Array


class Activation:
    """σ and what the backward pass does with σ′. Subclasses write in place, and take no memory in a batch's size.

    An activation with parameters has them in its name as well, "elu:0.5", and never changes them: files keep the name.
    """

    name = ""
    #: What its parameters are called, in the order in which a name has them; they are the constructor's arguments.
    parameters: ClassVar[tuple[str, ...]] = ()
    #: Whether Z must be kept beside A, since σ′ is computed from it, or σ not in place (True), or A alone will do (False).
    keeps_z = False
    #: Whether there is a σ″; False where σ is made of straight pieces.
    curved = True

    def value(self, Z: Array, out: Array) -> None:
        """out ← σ(Z); both (units, n), and out may be Z itself unless `keeps_z`."""
        raise NotImplementedError

    def backward(self, Delta: Array, Z: Array, A: Array, spare: Array) -> None:
        """Δ ← Δ ⊙ σ′(Z), in place, with A = σ(Z) left as it is; all (units, n), and spare is room for σ′."""
        raise NotImplementedError

    def second(self, E: Array, Z: Array, A: Array, spare: Array) -> None:
        """E ← E ⊙ σ″(Z), in place, where σ is `curved` and works element by element; arguments as in `backward`."""
        raise TypeError(f"activation {self.name!r}: has no second(E, Z, A, spare), E ← E ⊙ σ″(Z), which Hessian products need")

    def second_along(self, E: Array, Z: Array, A: Array, RZ: Array, spare: Array) -> None:
        """E ← E ⊙ R{σ′(Z)} = E ⊙ σ″(Z) ⊙ R{Z}, in place: how σ′ changes as Z does, R{Z} (units, n)."""
        if self.curved:
            self.second(E, Z, A, spare)
            E *= RZ
        else:
            E[...] = 0

    def derivative(self, Z: Array) -> Array:
        """σ′(Z), a new array of Z's shape; of softmax, whose derivative is a matrix, the sums of its columns (0)."""
        A, derivative = np.empty_like(Z), np.ones_like(Z)
        self.value(Z, A)
        self.backward(derivative, Z, A, np.empty_like(Z))
        return derivative
