"""mlp: multilayer perceptrons trained layer by layer, with the δ recursion written out and no computation graph.

Read backprop.py first (the recursion), then layers/dense.py, objective.py (the cost/gradient function) and optimizers/
(what minimises it). `python -m mlp.train --help` is the command line.

What is here is imported when it is first used, so that `import mlp` takes no time by itself.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlp import plots as plots
    from mlp.activations import Activation as Activation
    from mlp.checkpoint import load as load
    from mlp.checkpoint import load_state as load_state
    from mlp.checkpoint import save as save
    from mlp.checkpoint import save_state as save_state
    from mlp.committee import Committee as Committee
    from mlp.costs import Cost as Cost
    from mlp.data import Affine as Affine
    from mlp.data import Distortion as Distortion
    from mlp.data import Elastic as Elastic
    from mlp.data import Examples as Examples
    from mlp.data import load_mnist as load_mnist
    from mlp.data import prepare as prepare
    from mlp.data import read_idx as read_idx
    from mlp.data import read_table as read_table
    from mlp.gradcheck import check_gradient as check_gradient
    from mlp.layers import Conv as Conv
    from mlp.layers import Dense as Dense
    from mlp.layers import Layer as Layer
    from mlp.layers import MaxPool as MaxPool
    from mlp.layers import MeanPool as MeanPool
    from mlp.network import MLP as MLP
    from mlp.objective import Objective as Objective
    from mlp.optimizers import State as State
    from mlp.optimizers import adam as adam
    from mlp.optimizers import lbfgs as lbfgs
    from mlp.optimizers import newton as newton
    from mlp.optimizers import sgd as sgd
    from mlp.penalties import Sparsity as Sparsity

__version__ = "0.2.0.dev0"

_NAMES = {
    "activations": "Activation",
    "checkpoint": "load load_state save save_state",
    "committee": "Committee",
    "costs": "Cost",
    "data": "Affine Distortion Elastic Examples load_mnist prepare read_idx read_table",
    "gradcheck": "check_gradient",
    "layers": "Conv Dense Layer MaxPool MeanPool",
    "network": "MLP",
    "objective": "Objective",
    "optimizers": "State adam lbfgs newton sgd",
    "penalties": "Sparsity",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
_ROOMS = {module.name for module in iter_modules(__path__)}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(f"mlp.{_HOMES[name]}"), name)
        return value
    if name in _ROOMS and not name.startswith("_"):
        return import_module(f"mlp.{name}")
    raise AttributeError(f"module 'mlp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
