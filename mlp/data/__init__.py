"""Data: examples in memory (examples.py), IDX files (idx.py), MNIST and its like (mnist.py), distorted images (distortions.py).

Read examples.py first.
"""

from mlp.data.distortions import Affine as Affine
from mlp.data.distortions import Distortion as Distortion
from mlp.data.distortions import Elastic as Elastic
from mlp.data.examples import Examples as Examples
from mlp.data.idx import read_idx as read_idx
from mlp.data.mnist import MNIST as MNIST
from mlp.data.mnist import cache_directory as cache_directory
from mlp.data.mnist import load_mnist as load_mnist
from mlp.data.mnist import read_idx_directory as read_idx_directory
