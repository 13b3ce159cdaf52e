"""Costs, each with its output error Δ^L = ∇ₐC ⊙ σ′(Z^L) beside it, so that what cancels cancels here.

quadratic              Cᵢ = ½‖a − y‖²                      goes with every output activation
huber:DELTA            Cᵢ = Σⱼ ½rⱼ², or δ(|rⱼ| − ½δ) beyond δ, r = a − y   with every output: outliers pull with force δ
absolute               Cᵢ = Σⱼ |aⱼ − yⱼ|                    with every output: Huber's, divided by δ, as δ → 0
poisson                Cᵢ = Σⱼ aⱼ − yⱼ + yⱼ log(yⱼ/aⱼ)       goes with exponential outputs; leaves A − Y
logistic_cross_entropy Cᵢ = −Σⱼ [yⱼ log aⱼ + (1−yⱼ) log(1−aⱼ)] goes with logistic outputs; leaves A − Y
softmax_cross_entropy  Cᵢ = −Σⱼ yⱼ log aⱼ                  goes with a softmax output; leaves A − Y

Targets Y come in one of two forms: numbers, (units, n), or class labels, (n,) integers, which stand for columns that are 1
at the label and 0 elsewhere (one-hot) and are never written out as such. A cost of your own is any object with
`value(A, Y)`, the examples' costs (n,), and `gradient(A, Y)`, ∇ₐC (n, units); it is given A and Y as numbers (n, units),
examples as rows. For second derivatives (curvature.py) it needs `curvature(A, Y, V)` too, ∇ₐ²C V (n, units) for changes V of
A; or `curvature = "numerical"`, for central differences of its gradient.

How the output error changes along a direction in which Z^L changes by R{Z} and A^L by R{A} = J R{Z}, with J = ∂A/∂Z:

    R{Δ^L} = Jᵀ ∇ₐ²C R{A} + R{J}ᵀ ∇ₐC         the Hessian's
             Jᵀ ∇ₐ²C R{A}                     the Gauss–Newton matrix's, positive semidefinite where C is convex in A

Those that leave A − Y are taken as functions of Z, in which they are convex: both are R{A − Y} = R{A}.

Read base.py first, then matching.py (those that leave A − Y) and residuals.py (functions of a − y); custom.py has what costs
of one's own go through, names.py finds a cost by its name.
"""

from mlp.costs.base import Cost as Cost
from mlp.costs.base import holds_labels as holds_labels
from mlp.costs.base import one_hot as one_hot
from mlp.costs.custom import CustomCost as CustomCost
from mlp.costs.matching import LogisticCrossEntropy as LogisticCrossEntropy
from mlp.costs.matching import Poisson as Poisson
from mlp.costs.matching import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from mlp.costs.names import COSTS as COSTS
from mlp.costs.names import CROSS_ENTROPY as CROSS_ENTROPY
from mlp.costs.names import SYNONYMS as SYNONYMS
from mlp.costs.names import add_up as add_up
from mlp.costs.names import check_numbers as check_numbers
from mlp.costs.names import find as find
from mlp.costs.names import get as get
from mlp.costs.residuals import Absolute as Absolute
from mlp.costs.residuals import Huber as Huber
from mlp.costs.residuals import Quadratic as Quadratic
