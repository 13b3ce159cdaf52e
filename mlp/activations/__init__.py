"""Activation functions σ and their derivatives σ′ and σ″, by name:

identity, relu, softplus, threshold, logistic, tanh, softmax    the lecture's (lecture.py)
leaky_relu:SLOPE, elu:ALPHA, gelu, silu, exponential            beside them (further.py)

What stands after a colon is a parameter, which may be left out; `LeakyReLU(0.1)` is the same as "leaky_relu:0.1". Every one
of them but softmax works element by element. Where its derivative can be read off its output (tanh′ = 1 − tanh², and so on),
the weighted input Z need not be kept.

An activation of your own is any object with `value(z)` and `derivative(z)`, both from z (n, units), examples as rows, to an
array of that shape; `get` wraps it. Hessian products (curvature.py) need σ″ as well: of an activation of your own that is
`curvature(z)`, or `curvature = "numerical"` for central differences of its derivative.

Read base.py first; custom.py has what one's own go through, names.py finds an activation by its name.
"""

from mlp.activations.base import Activation as Activation
from mlp.activations.custom import NUMERICAL as NUMERICAL
from mlp.activations.custom import CustomActivation as CustomActivation
from mlp.activations.custom import central_difference as central_difference
from mlp.activations.further import ELU as ELU
from mlp.activations.further import GELU as GELU
from mlp.activations.further import Exponential as Exponential
from mlp.activations.further import LeakyReLU as LeakyReLU
from mlp.activations.further import SiLU as SiLU
from mlp.activations.lecture import Identity as Identity
from mlp.activations.lecture import Logistic as Logistic
from mlp.activations.lecture import ReLU as ReLU
from mlp.activations.lecture import Softmax as Softmax
from mlp.activations.lecture import Softplus as Softplus
from mlp.activations.lecture import Tanh as Tanh
from mlp.activations.lecture import Threshold as Threshold
from mlp.activations.names import ACTIVATIONS as ACTIVATIONS
from mlp.activations.names import SYNONYMS as SYNONYMS
from mlp.activations.names import find as find
from mlp.activations.names import get as get
from mlp.activations.names import is_named as is_named
