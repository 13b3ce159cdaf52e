"""`conjugate_gradients`: the minimum of a quadratic model, approached as far as that pays, for `newton`.

Sources: Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems" (1952); when to stop, and which
solutions to look at again, Martens, "Deep learning via Hessian-free optimization" (ICML 2010).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from mlp.blas import Array, dot

#: Solutions on the way that are kept: those of iterations 1.3, 1.3², … rounded up.
_SPACING = 1.3


class Solution(NamedTuple):
    """An approximate minimum p of the quadratic model q, and q(p)."""

    p: Array
    q: float


def conjugate_gradients(
    times: Callable[[Array], Array], g: Array, start: Array, precondition: Array, maxiter: int, tol: float
) -> list[Solution]:
    """Minimise q(p) = gᵀp + ½ pᵀBp from a start, by preconditioned conjugate gradients; B v is `times(v)`.

    It stops after i iterations if q fell by less than a part of k·tol of itself over the last k = max(10, i/10), by Martens'
    rule, or where B turns out not to be positive definite. Returns the solutions on the way, spaced ever wider, the last last.
    """
    p = start.copy()
    r = times(p) + g if p.any() else g.copy()  # the gradient of q
    y = r / precondition
    d, ry = -y, dot(r, y)
    fallen: list[float] = []
    solutions: list[Solution] = []
    kept_at = 1.0
    for i in range(1, maxiter + 1):
        Bd = times(d)
        dBd = dot(d, Bd)
        if not (dBd > 0 and math.isfinite(dBd) and ry > 0):
            break
        alpha = ry / dBd
        p += alpha * d
        r += alpha * Bd
        q = 0.5 * (dot(p, r) + dot(p, g))  # ½ pᵀ(Bp + g) + ½ gᵀp
        fallen.append(q)
        k = max(10, i // 10)
        enough = i > k and q < 0 and q - fallen[i - 1 - k] > k * tol * q
        if enough or i >= kept_at or i == maxiter:
            solutions.append(Solution(p.copy(), q))
            kept_at = math.ceil(max(kept_at, 1.0) * _SPACING)
        if enough:
            break
        y = r / precondition
        before, ry = ry, dot(r, y)
        d *= ry / before
        d -= y
    if fallen and solutions[-1].q != fallen[-1]:
        solutions.append(Solution(p, fallen[-1]))
    return solutions
