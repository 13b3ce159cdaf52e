"""mlp.cluster on real schedulers and worker processes, some of which are killed. What is compared with is `mlp.Objective`."""

import os
import signal
import threading
import time

import dask
import dask.array
import numpy as np
import pytest
import scipy.optimize
from distributed import Client, LocalCluster

import mlp
from mlp.cluster import Arrays, ClusterError, Idx, Npz, SummedObjective, connect, cut
from mlp.cluster.placement import place, share_among_threads
from mlp.cluster.sums import add_value, merge, total

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def start(workers, **settings):
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50, **settings
    )


@pytest.fixture(scope="module")
def client():
    """Of two worker processes that live as long as the tests here."""
    with start(2) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def alone():
    """Makes a client of a cluster of its own, in which workers may die, with Dask's settings changed."""
    opened = []

    def make(workers=2, **settings):
        with dask.config.set(settings):
            cluster = start(workers)
        opened.extend([cluster, Client(cluster)])
        return opened[-1]

    yield make
    for one in reversed(opened):
        one.close()


def examples(n=96):
    rng = np.random.default_rng(3)
    return rng.uniform(size=(n, 12)), rng.integers(0, 4, n)


def network(dtype="float64"):
    return mlp.MLP([12, 8, 4], hidden="tanh", dtype=dtype, seed=5)


def kill(client, address):
    """Kill a worker process as nothing can prevent."""
    os.kill(client.run(os.getpid, workers=[address])[address], signal.SIGKILL)


class Slow(Arrays):
    """A part that takes its time whenever it is read."""

    def read(self):
        time.sleep(0.1)
        return super().read()


class Deadly(Arrays):
    """A part whose reading kills the worker."""

    def read(self):
        os.kill(os.getpid(), signal.SIGKILL)


# The same function


@pytest.mark.parametrize("weighted", [False, True])
def test_is_the_objective_over_all_examples(client, weighted):
    X, y = examples()
    weights = np.random.default_rng(0).uniform(0, 2, len(X)) if weighted else None
    if weighted:
        weights[:7] = 0  # a whole part that doesn't count
    net = network()
    local = mlp.Objective(net, X, y, weight_decay=0.01, weights=weights)
    summed = SummedObjective(client, net, cut(X, y, weights, pieces=13), weight_decay=0.01)
    for objective in (lambda o: o(net.theta)[0], lambda o: o(net.theta)[1], lambda o: o.evaluate(net.theta)):
        np.testing.assert_allclose(objective(summed), objective(local), rtol=1e-12, atol=1e-15)
    assert len(summed) == 96
    assert summed.penalty(net.theta) == local.penalty(net.theta)
    assert summed.name_of(3) == "layers[0].W[0, 3]"


def test_an_autoencoder_has_no_accuracy(client):
    X, _ = examples()
    net = mlp.MLP([12, 5, 12], output="logistic", dtype="float64", seed=0)
    summed = SummedObjective(client, net, cut(X, pieces=3), cost="quadratic")
    local = mlp.Objective(net, X, cost="quadratic").evaluate(net.theta)
    assert summed.evaluate(net.theta).accuracy is local.accuracy is None
    assert summed.evaluate(net.theta).cost == pytest.approx(local.cost, rel=1e-12)


@pytest.mark.skipif(not hasattr(mlp.Objective, "hessp"), reason="mlp.Objective has no products with the Hessian")
@pytest.mark.parametrize("product", ["hessp", "gauss_newton"])
def test_products_with_the_curvature(client, product):
    X, y = examples()
    net = network()
    v = np.random.default_rng(1).standard_normal(net.theta.size)
    summed = SummedObjective(client, net, cut(X, y, pieces=5), weight_decay=0.1)
    local = getattr(mlp.Objective(net, X, y, weight_decay=0.1), product)(net.theta, v)
    np.testing.assert_allclose(getattr(summed, product)(net.theta, v), local, rtol=1e-11, atol=1e-14)


def test_every_minimiser_takes_it(client):
    X, y = examples()
    net = network()
    settings = {"weight_decay": 0.01}
    summed = SummedObjective(client, net, cut(X, y, pieces=4), **settings)
    local = mlp.Objective(net, X, y, **settings)

    def minimised(objective):
        descended = mlp.sgd(objective, net.theta.copy(), batch_size=None, epochs=4, learning_rate=0.5)
        quasi_newton = mlp.lbfgs(objective, net.theta.copy(), maxiter=4)
        from_scipy = scipy.optimize.minimize(objective, net.theta, jac=True, method="CG", options={"maxiter": 3})
        return [result.x for result in (descended, quasi_newton, from_scipy)]

    for summed_theta, local_theta in zip(minimised(summed), minimised(local), strict=True):
        np.testing.assert_allclose(summed_theta, local_theta, rtol=1e-7, atol=1e-9)
        assert not np.array_equal(summed_theta, net.theta)


def test_max_norm_is_seen_to_after_steps(client):
    X, y = examples()
    net = network()
    summed = SummedObjective(client, net, cut(X, y, pieces=2), max_norm=0.5)
    found = mlp.sgd(summed, net.theta.copy(), batch_size=None, epochs=1, learning_rate=0.1)
    norms = [np.linalg.norm(layer.W, axis=1).max() for layer in net.at(found.x).layers]
    assert max(norms) == pytest.approx(0.5, rel=1e-12)


# Where parts come from


def test_files_are_read_by_workers(client, tmp_path, write_idx):
    rng = np.random.default_rng(2)
    X, y = rng.integers(0, 256, (40, 12), dtype=np.uint8), rng.integers(0, 4, 40).astype(np.uint8)
    np.savez(tmp_path / "stored.npz", X=X, labels=y)
    np.savez_compressed(tmp_path / "compressed.npz", X=X, labels=y)
    labels = write_idx(tmp_path / "labels", y)
    plain = Idx(write_idx(tmp_path / "images", X.reshape(40, 3, 4)), labels)
    packed = Idx(write_idx(tmp_path / "images.gz", X.reshape(40, 3, 4)), str(labels))
    net = network()
    expected = mlp.Objective(net, X, y.astype(int))(net.theta)[1]
    parts = [
        plain.cut(40, 3),
        [*packed.cut(24, 2), Idx(labels=str(labels), images=plain.images, start=24)],
        Npz(tmp_path / "stored.npz", y="labels").cut(40, 3),
        Npz(tmp_path / "compressed.npz", y="labels").cut(40, 3),
    ]
    for some in parts:
        summed = SummedObjective(client, net, some)
        np.testing.assert_allclose(summed(net.theta)[1], expected, rtol=1e-12, atol=1e-15)
        assert len(summed) == 40


def test_dask_arrays_are_parts_where_their_chunks_end(client):
    X, y = examples()
    weights = np.linspace(1, 2, 96)
    blocks = [dask.array.from_array(array, chunks=chunks) for array, chunks in ((X, (40, 5)), (y, 96), (weights, 7))]
    parts = cut(*blocks)
    assert list(map(str, parts)) == [f"Dask array, rows {rows}" for rows in ("0 to 39", "40 to 79", "80 to 95")]
    net = network()
    expected = mlp.Objective(net, X, y, weights=weights)(net.theta)
    found = SummedObjective(client, net, parts)(net.theta)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-15)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)


def test_a_part_that_cannot_be_read_is_named(client, tmp_path, write_idx, refused):
    X, y = examples(20)
    good = Arrays(X, y)
    write_idx(tmp_path / "images", X)
    np.savez(tmp_path / "short.npz", X=X, y=y)
    (tmp_path / "junk.npz").write_bytes(b"junk")
    net = network()
    for error, part, said in (
        (OSError, Idx(tmp_path / "absent"), "absent"),
        (ValueError, Idx(tmp_path / "images", start=15, stop=21), "has 20 rows, but rows 15 to 20 are asked for"),
        (ValueError, Npz(tmp_path / "short.npz", y="labels"), "short.npz: has no array 'labels', but X, y"),
        (ValueError, Npz(tmp_path / "junk.npz"), "junk.npz: not an npz file"),
        (ValueError, Arrays(X, y + 1, name="mine"), "(mine): y: received label 4"),
    ):
        with refused(error, "parts[1]", said):
            SummedObjective(client, net, [good, part])


def test_a_part_can_be_read_again_once_it_is_there(client, tmp_path, refused):
    X, y = examples(20)
    with refused(OSError, "later.npz"):
        SummedObjective(client, network(), [Npz(tmp_path / "later.npz")])
    np.savez(tmp_path / "later.npz", X=X, y=y)
    assert len(SummedObjective(client, network(), [Npz(tmp_path / "later.npz")])) == 20


def test_what_is_refused(client, refused):
    X, y = examples(20)
    parts = cut(X, y, pieces=2)
    net = network()
    for name, value in (("sparsity", mlp.Sparsity()), ("distort", lambda X, _: X), ("dropout", (0.1, 0.1))):
        with refused(ValueError, f"{name}: received", "only None is allowed on a cluster"):
            SummedObjective(client, net, parts, **{name: value})
    with refused(TypeError, "client: received 'tcp://x'"):
        SummedObjective("tcp://x", net, parts)
    with refused(TypeError, "parts[1]: received 3"):
        SummedObjective(client, net, [parts[0], 3])
    with refused(ValueError, "weights: received 0 for every example"):
        SummedObjective(client, net, cut(X, y, np.zeros(20)))
    with refused(ValueError, "y: received shape (19,)"):
        cut(X, y[1:])
    summed = SummedObjective(client, net, parts)
    with refused(ValueError, "rows: received some", "batch_size=None"):
        mlp.sgd(summed, net.theta.copy(), batch_size=8)
    with refused(ValueError, "noise: received 1"):
        summed(net.theta, noise=1)
    with refused(OSError, "no scheduler answers there"), connect("nonsense://here"):
        pass


# The same bits


def trained(client, parts=11, each_step=None, dtype="float32"):
    X, y = examples()
    net = network(dtype)
    summed = SummedObjective(client, net, cut(X, y, pieces=parts), weight_decay=1e-3)
    return mlp.lbfgs(summed, net.theta.copy().astype(np.float64), maxiter=20, gtol=0, ftol=0, callback=each_step).x


def test_theta_has_the_same_bits_on_1_2_and_4_workers(client, alone):
    clients = [client, alone(1), alone(4)]
    for dtype in ("float32", "float64"):
        assert len({trained(one, dtype=dtype).tobytes() for one in clients}) == 1


@pytest.mark.parametrize("kills", [(3,), pytest.param((3, 8, 13), marks=pytest.mark.slow)])
def test_theta_has_the_same_bits_if_workers_are_killed(client, alone, kills):
    expected = trained(client)
    mortal = alone(2)
    killed = []

    def each_step(intermediate_result):
        if intermediate_result.nit in kills:
            victim = sorted(mortal.nthreads())[-1]
            delay = 0.02 * len(killed)  # between evaluations, and within one
            thread = threading.Timer(delay, kill, (mortal, victim))
            thread.start()
            thread.join()
            killed.append(victim)

    assert trained(mortal, each_step=each_step).tobytes() == expected.tobytes()
    assert len(set(killed)) == len(kills)


def test_a_worker_killed_while_it_works_costs_no_result(client, alone):
    """Parts are slow to read, and the worker dies meanwhile."""
    X, y = examples()
    mortal = alone(2)
    parts = [Slow(part.X, part.y) for part in cut(X, y, pieces=12)]
    timer = threading.Timer(0.4, kill, (mortal, sorted(mortal.nthreads())[0]))
    timer.start()
    found = SummedObjective(mortal, network(), parts)(network().theta)
    timer.join()
    expected = SummedObjective(client, network(), cut(X, y, pieces=12))(network().theta)
    assert found[0] == expected[0]
    assert found[1].tobytes() == expected[1].tobytes()


def test_a_part_that_kills_its_workers_is_named(alone):
    X, y = examples(24)
    mortal = alone(2, **{"distributed.scheduler.allowed-failures": 0})
    parts = [*cut(X, y, pieces=3), Deadly(None, name="the deadly one"), *cut(X, y, pieces=2)]
    with pytest.raises(ClusterError, match=r"parts\[3\] \(the deadly one\): a worker died each time"):
        SummedObjective(mortal, network(), parts)


def test_a_cluster_without_workers_is_said_and_waited_for(alone, monkeypatch):
    X, y = examples(24)
    mortal = alone(1)
    net = network()
    waiting = SummedObjective(mortal, net, cut(X, y, pieces=2))
    stopping = SummedObjective(mortal, net, cut(X, y, pieces=2), wait=0.3)
    expected = waiting(net.theta)
    mortal.cluster.scale(0)
    while mortal.nthreads():
        time.sleep(0.05)
    with pytest.raises(ClusterError, match=r"cluster: tcp://.* has no workers left: stopped after waiting 0.3 s"):
        stopping(net.theta)
    monkeypatch.setattr("mlp.cluster.client.PATIENCE", 0.2)
    timer = threading.Timer(1.0, mortal.cluster.scale, (1,))
    timer.start()
    with pytest.warns(RuntimeWarning, match="has no workers left: waiting until one comes"):
        found = waiting(net.theta)
    timer.join()
    assert found[0] == expected[0]
    assert found[1].tobytes() == expected[1].tobytes()


def test_another_version_on_a_worker_is_noticed_at_the_start(alone):
    def disguise():
        import numpy

        numpy.__version__ = "1.0.0"

    changed = alone(2)
    address = sorted(changed.nthreads())[1]
    changed.run(disguise, workers=[address])
    X, y = examples(24)
    with pytest.raises(ClusterError, match=f"worker {address} has numpy 1.0.0 where the client has {np.__version__}"):
        SummedObjective(changed, network(), cut(X, y, pieces=2))


def test_one_blas_thread_a_worker_thread(client):
    from threadpoolctl import threadpool_info, threadpool_limits

    client.run(lambda: threadpool_limits(limits=2, user_api="blas") and None)
    X, y = examples(24)
    client.restart()  # processes that have not worked yet
    SummedObjective(client, network(), cut(X, y, pieces=4))
    for found in client.run(threadpool_info).values():
        assert {pool["num_threads"] for pool in found if pool["user_api"] == "blas"} == {1}


def test_fingerprints_differ_where_examples_or_settings_do(client):
    X, y = examples(24)
    parts = cut(X, y, pieces=2)
    prints = {
        SummedObjective(client, network(), parts).fingerprint(),
        SummedObjective(client, network(), parts, weight_decay=1).fingerprint(),
        SummedObjective(client, network(), cut(X + 1, y, pieces=2)).fingerprint(),
    }
    assert len(prints) == 3
    assert SummedObjective(client, network(), cut(X, y, pieces=2)).fingerprint() in prints


# The tree, and who has what


def value(*numbers):
    return np.array(numbers[:1], float), np.array(numbers, np.float32)


def test_a_sum_has_the_same_bits_however_it_is_shared():
    """1 + 1e8 − 1e8 is 0 or 1 in float32, according to the order; by pairs it is ((1 + 1e8) + (−1e8 + 1)) + 5 = 5."""
    numbers = [1, 1e8, -1e8, 1, 5]
    for shares in ([[0, 1, 2, 3, 4]], [[0, 3], [1], [4, 2]], [[4, 2, 0], [1, 3]], [[4], [3], [2], [1], [0]]):
        blocks = []
        for share in shares:
            nodes = {}
            for part in share:
                add_value(nodes, part, value(numbers[part]))
            blocks.append(nodes)
        assert total(merge(blocks))[1].tolist() == [5]


def test_a_run_of_neighbours_is_one_node():
    nodes = {}
    for part in range(8, 16):
        add_value(nodes, part, value(part))
    assert list(nodes) == [(3, 1)]
    assert nodes[3, 1][1].tolist() == [92]  # 8 + … + 15


def test_parts_go_to_workers_by_threads_and_stay_there():
    threads = {"a": 1, "b": 3}
    homes = place([()] * 8, threads)
    assert homes == ["a"] * 2 + ["b"] * 6
    assert place([[home] for home in homes], threads) == homes
    without = place([["b"] if home == "b" else () for home in homes], {"b": 3, "c": 1})
    assert without == ["c"] * 2 + ["b"] * 6
    blocks = share_among_threads(homes, threads)
    assert blocks == [("a", [0, 1]), ("b", [2, 3]), ("b", [4, 5]), ("b", [6, 7])]
