"""mlp: multilayer perceptrons trained layer by layer, with the δ recursion written out and no computation graph.

Read backprop.py first (the recursion), then layers/dense.py, objective.py (the cost/gradient function) and optimizers/
(what minimises it). `python -m mlp.train --help` is the command line.
"""

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
