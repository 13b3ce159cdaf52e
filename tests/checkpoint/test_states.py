"""State files: whatever can be saved can be loaded, and what no minimiser leaves is neither saved nor loaded."""

import json
import math
import struct

import numpy as np
import pytest

import mlp
from mlp.checkpoint import files


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.npz"


def state(minimiser="sgd", facts=None, **arrays):
    history = {"history": [{"epoch": 1, "cost": 0.5, "validation_accuracy": None}]}
    return mlp.State(minimiser, {"theta": np.arange(3.0), **arrays}, {**history, **(facts or {})})


def write_unchecked(path, given):
    """A state file with right checksums, whatever is in it."""
    header = {"format": "mlp-state", "version": 1, "minimiser": given.minimiser, "facts": given.facts}
    files.write_archive(path, files.encode_header(header, "header", header), given.arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_comes_back_with_whatever_vectors_and_facts_its_minimiser_has(path, dtype):
    vectors = {
        "theta": [5e-324, -0.0, 3e38],
        "velocity": [1, 2, 3],
        "file": [4, 5, 6],
        "mean_square_2": [math.nan, math.inf, 9],
    }
    arrays = {name: np.array(vector, dtype) for name, vector in vectors.items()}
    facts = {
        "history": [],
        "nan": math.nan,
        "inf": math.inf,
        "π": [math.pi, 1 << 127, 5e-324],
        "settings": {"a": {"b": [None]}},
    }
    mlp.save_state(path, mlp.State("rmsprop", arrays, facts))
    back = mlp.load_state(path)
    assert back.minimiser == "rmsprop"
    assert {name: vector.tobytes() for name, vector in back.arrays.items()} == {
        name: vector.tobytes() for name, vector in arrays.items()
    }
    assert {vector.dtype.name for vector in back.arrays.values()} == {dtype}
    assert math.isnan(back.facts.pop("nan"))
    assert back.facts == {name: value for name, value in facts.items() if name != "nan"}


def test_a_state_from_a_big_endian_machine_is_read(path, hand_made):
    header = {"format": "mlp-state", "version": 1, "minimiser": "sgd", "facts": {"history": []}}
    loaded = mlp.load_state(hand_made(path, header=header, theta=(">f8", (2,), struct.pack(">2d", 1.5, -2))))
    assert loaded.arrays["theta"].tolist() == [1.5, -2]
    assert loaded.arrays["theta"].dtype == np.float64  # in this machine's own order, as minimisers want it


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (state(minimiser=""), "'' (str) as the minimiser, but that must be a name"),
        (state(minimiser=3), "3 (int) as the minimiser"),
        (mlp.State("sgd", {"theta": np.zeros(3)}, {}), "no facts with a history, a list of records"),
        (mlp.State("sgd", {"theta": np.zeros(3)}, [1]), "no facts with a history"),
        (state(facts={"history": "x"}), "no facts with a history"),
        (state(facts={"history": [{"cost": 1}, {"epoch": 1}]}), "{'epoch': 1} (dict) as record 2 of its history"),
        (state(facts={"history": [[1]]}), "[1] (list) as record 1 of its history"),
        (state(facts={"history": [{}]}), "{} (dict) as record 1 of its history"),
        (state(facts={"history": [{"cost": "x"}]}), "'x' (str) as cost in record 1 of its history, but that must be a number"),
        (state(facts={"history": [{"cost": True}]}), "True (bool) as cost in record 1"),
        (state(facts={"history": [{"cost": [0.5]}]}), "[0.5] (list) as cost in record 1"),
        (state(velocity=np.zeros(4)), "a velocity of shape (4,), but all its vectors must be as long as theta"),
    ],
)
def test_what_no_minimiser_leaves(path, given, said, refused):
    with refused(ValueError, f"state: received {said}"):
        mlp.save_state(path, given)
    assert not path.exists()
    write_unchecked(path, given)
    with refused(ValueError, f"{path}: not a state: it has {said}"):
        mlp.load_state(path)


@pytest.mark.parametrize("place", ["total", "history"])
def test_numbers_that_no_minimiser_leaves(path, place, refused):
    given = state(facts={"total": 10**400} if place == "total" else {"history": [{"cost": 10**400}]})
    with refused(ValueError, "state: received an integer of 401 digits, but no state has one of more than 100"):
        mlp.save_state(path, given)
    write_unchecked(path, given)
    with refused(ValueError, f"{path}: not a state, or damaged: an integer of 401 digits"):
        mlp.load_state(path)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        *(
            ({name: np.zeros(3)}, f"a vector called {name!r} (str)")
            for name in ("header", "V", "2m", "", "a-b", "../a", "é", "_a")
        ),
        ({"v": np.zeros((3, 1))}, "a v of shape (3, 1)"),
        ({"v": np.zeros(3, int)}, "as v, but it must be a vector of float32 or float64"),
        ({"v": np.array([None] * 3)}, "as v, but it must be a vector of float32 or float64"),
        ({"v": [1.0, 2.0, 3.0]}, "[1.0, 2.0, 3.0] (list) as v, but"),
        ({"theta": None}, "None (NoneType) as theta, but"),
    ],
    ids=str,
)
def test_vectors_that_loading_would_refuse_are_not_saved(path, vectors, said, refused):
    path.write_bytes(b"as it was")
    with refused(ValueError, "state: received ", said):
        mlp.save_state(path, state(**vectors))
    assert path.read_bytes() == b"as it was"


@pytest.mark.parametrize("name", ["V", "a-b", "é"])
def test_vectors_of_other_names_are_not_loaded(path, name, hand_made, refused):
    header = {"format": "mlp-state", "version": 1, "minimiser": "sgd", "facts": {"history": []}}
    hand_made(path, header=header, **{name: ("<f4", (13,), bytes(52))})
    with refused(ValueError, f"{path}: not a state, or damaged: it holds header.npy, theta.npy, {name}.npy"):
        mlp.load_state(path)


@pytest.mark.parametrize("given", [None, 3, {"minimiser": "sgd"}, "state.npz"])
def test_only_states_are_saved(path, given, refused):
    with refused(TypeError, "state: received ", "but it must be a State"):
        mlp.save_state(path, given)
    assert not path.exists()


def test_facts_that_no_json_holds_are_refused_and_the_file_stays(path, refused):
    mlp.save_state(path, state())
    before = path.read_bytes()
    with refused(TypeError, "state.facts: received ", "but JSON must be able to hold"):
        mlp.save_state(path, state(facts={"mine": object()}))
    assert [file.name for file in path.parent.iterdir()] == ["state.npz"]
    assert path.read_bytes() == before


def test_models_and_states_are_not_taken_for_each_other(path, refused):
    mlp.save(path, mlp.MLP([2, 2], seed=0))
    with refused(ValueError, f"{path}: is 'mlp-model' version 1, but this version of mlp reads 'mlp-state' version 1"):
        mlp.load_state(path)
    mlp.save_state(path, state())
    with refused(ValueError, f"{path}: is 'mlp-state' version 1, but this version of mlp reads 'mlp-model' version 1"):
        mlp.load(path)


@pytest.mark.parametrize("missing", ["minimiser", "facts"])
def test_a_header_without_one_of_its_parts(path, missing, hand_made, refused):
    header = {"format": "mlp-state", "version": 1, "minimiser": "sgd", "facts": {"history": []}}
    hand_made(path, header=json.loads(json.dumps({name: value for name, value in header.items() if name != missing})))
    with refused(ValueError, f"{path}: not a state: it has ", missing):
        mlp.load_state(path)
