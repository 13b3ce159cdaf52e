"""Data: examples in memory (examples.py), and where they come from.

Read examples.py first. Images: IDX files (idx.py), MNIST and its like (mnist.py), distorted images (distortions.py). Data of
one's own: sources.py reads tables and arrays (delimited.py, parquet.py, arrays.py), roles.py decides what their columns are,
and preparation.py is what is done to them (columns.py) before a network sees them, which a model file keeps.
"""

from mlp.data.distortions import Affine as Affine
from mlp.data.distortions import Distortion as Distortion
from mlp.data.distortions import Elastic as Elastic
from mlp.data.examples import Examples as Examples
from mlp.data.examples import prepare as prepare
from mlp.data.idx import read_idx as read_idx
from mlp.data.mnist import MNIST as MNIST
from mlp.data.mnist import cache_directory as cache_directory
from mlp.data.mnist import load_mnist as load_mnist
from mlp.data.mnist import read_idx_directory as read_idx_directory
from mlp.data.preparation import Preparation as Preparation
from mlp.data.sources import read_columns as read_columns
from mlp.data.sources import read_data as read_data
from mlp.data.sources import read_table as read_table
from mlp.data.tables import Table as Table
