"""What the tests of layers share: networks, and PyTorch's word on them (tests/files/convolution/by_torch.py)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mlp

FILES = Path(__file__).parents[1] / "files" / "convolution"


@pytest.fixture(scope="session")
def reference():
    """The module that made by_torch.npz."""
    spec = importlib.util.spec_from_file_location("by_torch", FILES / "by_torch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def classify():
    """A function (entries, n, **settings of MLP) -> an objective over n random examples, its network's parameters random."""

    def make(entries, n=5, dtype="float64", seed=0, objective=None, **settings):
        rng = np.random.default_rng(seed)
        net = mlp.MLP(entries, dtype=dtype, seed=seed, **settings)
        net.theta[:] = 0.5 * rng.standard_normal(net.theta.size)
        X, y = rng.standard_normal((n, net.sizes[0])), rng.integers(0, net.sizes[-1], n)
        return mlp.Objective(net, X, y, **(objective or {}))

    return make
