"""Files that mlp 0.1.0 wrote are read, and runs go on from them: see tests/files/make_files.py, which made them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mlp
from mlp.checkpoint import load_notes

FILES = Path(__file__).parent.parent / "files"


def made():
    """The script that made the files, as a module."""
    description = importlib.util.spec_from_file_location("make_files", FILES / "make_files.py")
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    return module


MADE = made()


def test_no_file_is_missing():
    assert {path.stem for path in FILES.glob("*.npz")} == {*MADE.MODELS, *MADE.STATES}


@pytest.mark.parametrize("name", MADE.MODELS)
def test_models(name):
    net, notes = MADE.model(name)
    loaded = mlp.load(FILES / f"{name}.npz")
    assert loaded.dtype == net.dtype
    assert loaded.sizes == net.sizes
    assert [layer.activation.name for layer in loaded.layers] == [layer.activation.name for layer in net.layers]
    # of sin, one bit may differ from one platform to the next
    np.testing.assert_allclose(loaded.theta, net.theta, rtol=1e-6 if net.dtype == np.float32 else 1e-14)
    assert load_notes(FILES / f"{name}.npz") == notes


@pytest.mark.parametrize("name", MADE.STATES)
def test_a_run_goes_on_from_a_state(name):
    state = mlp.load_state(FILES / f"{name}.npz")
    whole, theta = MADE.minimise(name)
    resumed, again = MADE.minimise(name, state=state)
    limits = {"rtol": 0, "atol": 1e-5} if name == "state-lbfgs" else {"rtol": 1e-9, "atol": 1e-10}
    if theta.dtype == np.float32:
        limits = {"rtol": 1e-3, "atol": 1e-5}
    np.testing.assert_allclose(again, theta, **limits)
    assert resumed.status == whole.status
    assert resumed.history[: len(state.facts["history"])] == state.facts["history"]
    if name != "state-lbfgs":
        assert len(resumed.history) == len(whole.history)


def test_the_states_hold_what_states_may_hold():
    states = {name: mlp.load_state(FILES / f"{name}.npz") for name in MADE.STATES}
    assert {name: set(state.arrays) - {"theta", "safe"} for name, state in states.items()} == {
        "state-sgd": set(),
        "state-momentum": {"velocity"},
        "state-nesterov": {"velocity"},
        "state-average": {"average"},
        "state-patience": {"best"},
        "state-adam": {"m", "v"},
        "state-lbfgs": set(),
    }
    assert all(state.facts["done"] for name, state in states.items() if name != "state-lbfgs")  # within an epoch
