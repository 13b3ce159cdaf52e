"""mlp/sparse.py: sparse X. What is expected is what the same examples give as an array; how that is right, other tests show."""

import copy
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse

import mlp
from mlp.layers import Dense
from mlp.sparse import SparseRows, check_sparse
from mlp.workspace import Workspace

N, FEATURES = 60, 12


def draw_examples(dtype="float64"):
    """X (N, FEATURES), a fifth of it not 0, with an empty row and an empty column, and labels of 3 classes."""
    rng = np.random.default_rng(0)
    X = (10 * rng.standard_normal((N, FEATURES)) * (rng.random((N, FEATURES)) < 0.2)).astype(dtype)
    X[3], X[:, 5] = 0, 0
    return X, rng.integers(0, 3, N)


X, Y = draw_examples()
NUMBERS = np.random.default_rng(1).random((N, 3))
SPARSE = scipy.sparse.csr_array(X)


def pair(y=Y, output="softmax", hidden="tanh", layers=(FEATURES, 5, 4, 3), cost=None, dtype="float64", **settings):
    """Two objectives that should be the same, over the array and the sparse one; and a θ."""
    net = mlp.MLP(layers, hidden=hidden, output=output, dtype=dtype, seed=1)
    return *(mlp.Objective(net, inputs, y, cost=cost, **settings) for inputs in (X, SPARSE)), net.theta


def assert_same(found, expected, tolerance=1e-12):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


# The function and its derivatives


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    "settings",
    [
        {"weight_decay": 0.01},
        {"hidden": "relu", "layers": [FEATURES, 3]},
        {"y": NUMBERS, "output": "identity", "weights": np.arange(N)},
        {"y": (NUMBERS > 0.5).astype(float), "output": "logistic"},
        {"y": NUMBERS[:, :1], "output": "exponential", "layers": [FEATURES, 4, 1]},
        {"y": NUMBERS, "output": "identity", "hidden": "logistic", "sparsity": mlp.Sparsity(0.1, 2.0)},
        {"layers": [(3, 4), mlp.Conv(2, 2), mlp.MaxPool((2, 1)), 3]},
    ],
    ids=["decay", "one layer", "weights", "labels", "poisson", "sparsity", "images"],
)
def test_all_that_an_objective_tells_is_the_same(settings):
    dense, sparse, theta = pair(**settings)
    v = np.random.default_rng(2).standard_normal(theta.size)
    for rows in (None, slice(5, 30), [7, 3, 7, 59]):
        for found, expected in zip(sparse(theta, rows), dense(theta, rows), strict=True):
            assert_same(found, expected)
        for name in ("hessp", "gauss_newton"):
            assert_same(getattr(sparse, name)(theta, v, rows), getattr(dense, name)(theta, v, rows))
        assert_same(sparse.squared_gradients(theta, rows), dense.squared_gradients(theta, rows))
        assert_same(sparse.input_gradient(theta, rows), dense.input_gradient(theta, rows))
        for found, expected in zip(sparse.errors(theta, rows), dense.errors(theta, rows), strict=True):
            assert_same(found, expected)
    assert_same(sparse.evaluate(theta).cost, dense.evaluate(theta).cost)
    assert sparse.evaluate(theta).accuracy == dense.evaluate(theta).accuracy
    assert_same(sparse.hessian(theta) @ v, dense.hessian(theta) @ v)


def test_the_gradient_by_differences():
    _, sparse, theta = pair(weight_decay=0.1)
    assert mlp.check_gradient(sparse, theta, seed=0)


@pytest.mark.parametrize("long", [0, 1 << 15], ids=["threads", "one thread"])
def test_steps_into_theta_itself(long, monkeypatch):
    monkeypatch.setattr("mlp.sparse.LONG", long)
    dense, sparse, theta = pair(weight_decay=0.1)
    rows = np.array([1, 5, 3, 40])
    for beta in (1.0, 0.5):
        found, expected = theta.copy(), theta.copy()
        sparse.accumulate(found, rows, found, -0.3, beta, None)
        dense.accumulate(expected, rows, expected, -0.3, beta, None)
        assert_same(found, expected)


@pytest.mark.parametrize(
    ("minimise", "settings"),
    [
        (mlp.sgd, {"epochs": 4, "batch_size": 7, "seed": 3, "momentum": 0.9, "learning_rate": 0.01}),
        (mlp.sgd, {"epochs": 4, "batch_size": 7, "seed": 3, "learning_rate": 0.01}),
        (mlp.adam, {"epochs": 4, "batch_size": 7, "seed": 3}),
        (mlp.lbfgs, {"maxiter": 5}),
        (mlp.newton, {"maxiter": 3}),
    ],
)
def test_minimisers_go_the_same_way(minimise, settings):
    dense, sparse, theta = pair(weight_decay=0.1)
    found, expected = (minimise(objective, theta.copy(), **settings) for objective in (sparse, dense))
    assert np.abs(found.x - theta).max() > 0.01
    assert_same(found.x, expected.x, 1e-8)


def test_dropped_inputs_are_the_same():
    dense, sparse, theta = pair(dropout=(0.3, 0.5, 0.0))
    assert_same(sparse(theta, noise=(1, 2))[1], dense(theta, noise=(1, 2))[1])
    _, kept, _ = pair()
    assert np.abs(sparse(theta, noise=(1, 2))[1] - kept(theta)[1]).max() > 1e-3


@pytest.mark.parametrize("y", [None, "itself"])
def test_sparse_examples_as_their_own_targets(y):
    net = mlp.MLP([FEATURES, 4, FEATURES], output="identity", dtype="float64", seed=0)
    found = mlp.Objective(net, SPARSE, SPARSE if y else None)(net.theta)
    expected = mlp.Objective(net, X)(net.theta)
    assert_same(found[0], expected[0])
    assert_same(found[1], expected[1])


class Doubled(Dense):
    """A layer of one's own, which does with A what only arrays can do."""

    def forward(self, A, out, scratch):
        super().forward(2 * np.asarray(A, dtype=float), out, scratch)


def test_layers_of_ones_own_get_arrays():
    net = mlp.MLP([FEATURES, Doubled(FEATURES, 4, "tanh"), 3], dtype="float64", seed=0)
    assert_same(net.forward(SPARSE), net.forward(X))


# Networks


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("layer", [-1, 0])
def test_outputs_and_answers(layer):
    net = mlp.MLP([FEATURES, 5, 3], dtype="float64", seed=1)
    assert_same(net.forward(SPARSE, layer=layer), net.forward(X, layer=layer))
    assert np.array_equal(net.predict(SPARSE), net.predict(X))
    assert np.array_equal(net.predict(SPARSE[:1]), net.predict(X[:1]))
    assert np.array_equal(mlp.Committee([net, net]).predict(SPARSE), net.predict(X))


# What X may be


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
@pytest.mark.parametrize("of", ["array", "matrix"])
def test_formats(kind, of):
    given = getattr(scipy.sparse, f"{kind}_{of}")(X)
    dense, _, theta = pair()
    found = mlp.Objective(dense.net, given, Y)
    assert found.X.format == "csr"
    assert_same(found(theta)[1], dense(theta)[1])
    assert_same(dense.net.forward(given), dense.net.forward(X))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8", "uint16", "float32", "float64", "longdouble"])
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_dtypes(dtype, arithmetic):
    counts = (np.abs(X) * 5).astype(dtype)  # 8-bit unsigned ones are pixels, as everywhere
    net = mlp.MLP([FEATURES, 5, 3], hidden="logistic", dtype=arithmetic, seed=0)
    found, expected = (mlp.Objective(net, of(counts), Y)(net.theta)[1] for of in (scipy.sparse.csr_array, np.asarray))
    assert_same(found, expected, 1e-12 if arithmetic == "float64" else 1e-5)
    assert np.abs(expected).max() > 1e-3


def test_pixels_are_divided_by_255():
    net = mlp.MLP([2, 1], output="identity", dtype="float64", seed=0)
    net.theta = [1.0, 10.0, 0.5]
    assert_same(net.forward(scipy.sparse.csr_array(np.array([[255, 0], [0, 51]], np.uint8))), [[1.5], [2.5]])


def with_indices(indptr, indices, numbers, dtype=np.int32):
    rows = scipy.sparse.csr_array((3, 4))
    rows.indptr, rows.indices, rows.data = np.array(indptr, dtype), np.array(indices, dtype), np.array(numbers, float)
    return rows


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_columns_out_of_order_twice_and_with_stored_zeros(dtype):
    given = with_indices([0, 3, 3, 5], [2, 0, 2, 1, 3], [1, 2, 3, 0, 4], dtype)
    before = [array.copy() for array in (given.indptr, given.indices, given.data)]
    expected = np.array([[2.0, 0, 4, 0], [0, 0, 0, 0], [0, 0, 0, 4]])
    net = mlp.MLP([4, 2], dtype="float64", seed=0)
    found, dense = (mlp.Objective(net, inputs, [0, 1, 0]) for inputs in (given, expected))
    assert_same(found(net.theta)[1], dense(net.theta)[1])
    assert_same(found.squared_gradients(net.theta), dense.squared_gradients(net.theta))  # of sums, not of parts
    assert_same(net.forward(given), net.forward(expected))
    for array, was in zip((given.indptr, given.indices, given.data), before, strict=True):
        assert np.array_equal(array, was)  # the caller's own is as it was


def test_nothing_stored():
    net = mlp.MLP([4, 2], dtype="float64", seed=0)
    net.theta = [*range(8), 0.25, -1.0]
    objective = mlp.Objective(net, scipy.sparse.csr_array((5, 4)), [0] * 5)
    gradient = objective(net.theta)[1]
    assert np.array_equal(gradient[:8], np.zeros(8))
    assert_same(gradient[8:], [-1 / (1 + np.exp(1.25)), 1 / (1 + np.exp(1.25))])  # p − y of softmax over (0.25, −1)


def test_no_memory_is_taken_twice():
    assert np.shares_memory(check_sparse("X", SPARSE, "").data, SPARSE.data)


def changed(row, column, value):
    other = scipy.sparse.csr_array(X[:4])
    with np.errstate(all="ignore"):
        other[row, column] = value
    return other


@pytest.mark.filterwarnings("ignore::scipy.sparse.SparseEfficiencyWarning")
@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (
            lambda: changed(2, 7, np.nan),
            ValueError,
            r"^X: received nan at example 2, feature 7, but every value must be finite",
        ),
        (lambda: changed(1, 0, 1e39), ValueError, r"^X: received 1e\+39 at example 1, feature 0, but .* finite in float32"),
        (lambda: SPARSE[:4, :9], ValueError, r"^X: received 9 features, shape \(4, 9\), but the network takes 12"),
        (lambda: SPARSE[:0], ValueError, r"^X: received no examples, shape \(0, 12\)"),
        (lambda: SPARSE[:4] * 1j, TypeError, r"^X: received dtype complex128, but it must be .*: real numbers"),
        (
            lambda: scipy.sparse.coo_array(X[0]),
            ValueError,
            r"^X: received shape \(12,\), but it must be an array \(examples, 12\)",
        ),
        (
            lambda: with_indices([0, 1, 1, 2], [0, 12], [1, 1]),
            ValueError,
            r"^X: received a csr_array whose indices are not right \(.*< 4",
        ),
        (lambda: with_indices([0, 2, 1, 2], [0, 1], [1, 1]), ValueError, r"^X: received a csr_array whose indices"),
    ],
    ids=["nan", "overflow", "features", "none", "complex", "vector", "columns", "rows"],
)
def test_bad_inputs_are_named(inputs, error, message):
    net = mlp.MLP([FEATURES, 3], seed=0)
    with pytest.raises(error, match=message):
        mlp.Objective(net, inputs(), Y[:4])
    with pytest.raises(error, match=message):
        net.forward(inputs())


def test_sparse_targets_weights_and_distorted_images_are_refused():
    net = mlp.MLP([FEATURES, 3], seed=0)
    with pytest.raises(TypeError, match=r"^y: received a sparse array"):
        mlp.Objective(net, SPARSE, scipy.sparse.csr_array(NUMBERS))
    with pytest.raises(TypeError, match=r"^weights: received a sparse array"):
        mlp.Objective(net, SPARSE, Y, weights=scipy.sparse.csr_array(NUMBERS[:, :1]))
    with pytest.raises(TypeError, match=r"^distort: received one for a sparse X, but only arrays can be distorted"):
        mlp.Objective(net, SPARSE, Y, distort=mlp.Distortion(affine=mlp.Affine()))
    with pytest.raises(TypeError, match=r"^X: received a sparse array .* must be dense"):
        mlp.plots.activations(net, SPARSE)


def test_raw_data_of_a_table_are_dense(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "".join(f"{number},{'uv'[number % 2]}\n" for number in range(20)), encoding="utf-8")
    training, _ = mlp.prepare(*mlp.read_table(table, target="y").split(0.2))
    net = mlp.MLP([1, 2], seed=0)
    net.preparation = training.preparation
    with pytest.raises(TypeError, match=r"^X: received a sparse array"):
        net.predict(scipy.sparse.csr_array([[1.0], [2]]))


def test_large_values_are_warned_of(monkeypatch):
    monkeypatch.setattr("mlp.checks._warned", set())
    with pytest.warns(UserWarning, match=r"values are 5,000 in the mean, .* about 1: divide each column by its standard"):
        mlp.MLP([2, 2], seed=0).forward(scipy.sparse.csr_array([[5000.0, 0], [0, 5000]]))


# Copies and parts


def test_copies_and_fingerprints():
    dense, sparse, theta = pair(weight_decay=0.1)
    for other in (copy.copy(sparse), copy.deepcopy(sparse), pickle.loads(pickle.dumps(sparse)), sparse.astype("float64")):
        assert_same(other(theta)[1], sparse(theta)[1])
        assert other.fingerprint() == sparse.fingerprint()
    moved = scipy.sparse.csr_array((SPARSE.data, SPARSE.indices[::-1], SPARSE.indptr), shape=SPARSE.shape)
    assert mlp.Objective(dense.net, moved, Y, weight_decay=0.1).fingerprint() != sparse.fingerprint()


def test_examples_and_their_parts():
    examples = mlp.Examples(scipy.sparse.coo_array(X), Y)
    assert len(examples) == N
    dense = mlp.Examples(X, Y)
    for found, expected in [
        *zip(examples.split(0.3, seed=1), dense.split(0.3, seed=1), strict=True),
        *zip(examples.fold(2, 5), dense.fold(2, 5), strict=True),
        (examples[3:9], dense[3:9]),
    ]:
        assert np.array_equal(found.X.toarray(), expected.X)
        assert np.array_equal(found.y, expected.y)


# Memory


def test_nothing_of_the_size_of_weights_or_of_dense_examples_is_made():
    features, units, n = 50_000, 40, 64
    stored = np.random.default_rng(0).choice(n * features, 3200, replace=False)
    rows = scipy.sparse.csr_array((np.ones(3200, np.float32), np.divmod(stored, features)), (n, features))
    net = mlp.MLP([features, units, 2], seed=0)  # W is of 8 MB, and a dense X would be of 13 MB
    objective = mlp.Objective(net, rows, np.zeros(n, int))
    tracemalloc.start()
    objective.accumulate(net.theta, np.arange(n), net.theta, -0.1, 1.0, None)
    net.forward(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_wide_batches_are_steps_into_theta():
    net = mlp.MLP([500_000, 1, 2], seed=0)  # of which an array of 128 MB holds 22 examples
    rows = scipy.sparse.csr_array((200, 500_000), dtype=np.float32)
    work = Workspace(net, rows, np.zeros(200, int), None, None, None, None)
    assert work.chunk == 1024
    buffers, _, _ = next(work.passes(work.stack(net.layers, None), None, None, to_input=True))
    assert buffers.n == 22  # errors at the inputs are dense


def test_scipy_sparse_is_imported_for_sparse_examples_alone():
    code = "import sys, mlp, numpy; mlp.MLP([3, 2]).predict(numpy.ones((2, 3))); print('scipy.sparse' in sys.modules)"
    alone = "import sys, scipy.linalg.blas; print('scipy.sparse' in sys.modules)"
    found = [
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True).stdout
        for each in (alone, code)
    ]
    if found[0] == "True\n":
        pytest.skip("this scipy.linalg imports scipy.sparse itself")
    assert found[1] == "False\n"


def test_products_by_hand():
    rows = SparseRows(2, 3, "float64")
    rows.fill(scipy.sparse.csr_array([[1.0, 0, 2], [0, 3, 0]]))
    C = np.ones((1, 2))
    rows.add_forward(np.array([[1.0, 10, 100]]), C)
    assert C.tolist() == [[202, 31]]
    C = np.ones((1, 3))
    rows.add_gradient(-2.0, np.array([[1.0, 10]]), C)
    assert C.tolist() == [[-1, -59, -3]]
