"""Layers, one kind a file. Start with base.py (what a layer is) and dense.py; then conv.py beside it, and pool.py.

What convolution and pooling stand on: windows.py (where a window stands on an image), turn.py (how images lie during
passes) and lowered.py (all windows of a row as one matrix). dropout.py is a layer that is there while a network learns;
spelling.py reads and writes layers as texts. The passes over them are in backprop.py.
"""

from mlp.layers.base import Layer as Layer
from mlp.layers.conv import Conv as Conv
from mlp.layers.dense import Dense as Dense
from mlp.layers.dropout import Dropout as Dropout
from mlp.layers.pool import MaxPool as MaxPool
from mlp.layers.pool import MeanPool as MeanPool
from mlp.layers.spelling import format as format
from mlp.layers.spelling import parse as parse

#: The kinds of layer that model files know, by the name they go by there.
KINDS: dict[str, type[Layer]] = {kind.kind: kind for kind in (Dense, Conv, MaxPool, MeanPool)}


def kind_of(layer: Layer) -> str:
    """What model files call a layer: its kind, or its class's name where that is a subclass of your own."""
    return layer.kind if KINDS.get(layer.kind) is type(layer) else type(layer).__name__
