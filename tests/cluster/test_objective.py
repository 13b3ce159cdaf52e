"""mlp.cluster on a real scheduler and worker processes, compared with `mlp.Objective` over the same examples."""

import numpy as np
import pytest
import scipy.optimize

import mlp
from mlp.cluster import SummedObjective, connect, cut, work

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize("weighted", [False, True])
def test_is_the_objective_over_all_examples(client, weighted, examples, network):
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


def test_an_autoencoder_has_no_accuracy(client, examples):
    X, _ = examples()
    net = mlp.MLP([12, 5, 12], output="logistic", dtype="float64", seed=0)
    summed = SummedObjective(client, net, cut(X, pieces=3), cost="quadratic")
    local = mlp.Objective(net, X, cost="quadratic").evaluate(net.theta)
    assert summed.evaluate(net.theta).accuracy is local.accuracy is None
    assert summed.evaluate(net.theta).cost == pytest.approx(local.cost, rel=1e-12)


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_curvature(client, examples, network, kept):
    """Products at one θ after another, whether passes are kept by workers or not."""
    client.run(lambda: setattr(mlp.curvature, "KEPT_BYTES", kept))
    X, y = examples()
    weights = np.random.default_rng(0).uniform(0, 2, len(X))
    net = network()
    vectors = np.random.default_rng(1).standard_normal((2, net.theta.size))
    summed = SummedObjective(client, net, cut(X, y, weights, pieces=5), weight_decay=0.1)
    local = mlp.Objective(net, X, y, weights=weights, weight_decay=0.1)
    for theta in (net.theta, net.theta + 0.1):
        for product in ("hessp", "gauss_newton"):
            for v in vectors:
                expected = getattr(local, product)(theta, v)
                np.testing.assert_allclose(getattr(summed, product)(theta, v), expected, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(summed.squared_gradients(theta), local.squared_gradients(theta), rtol=1e-11, atol=1e-14)


def test_every_minimiser_takes_it(client, examples, network):
    X, y = examples()
    net = network()
    settings = {"weight_decay": 0.01}
    summed = SummedObjective(client, net, cut(X, y, pieces=4), **settings)
    local = mlp.Objective(net, X, y, **settings)

    def minimised(objective):
        descended = mlp.sgd(objective, net.theta.copy(), batch_size=None, epochs=4, learning_rate=0.5)
        quasi_newton = mlp.lbfgs(objective, net.theta.copy(), maxiter=4)
        newton = mlp.newton(objective, net.theta.copy(), maxiter=2, cg_maxiter=8)
        from_scipy = scipy.optimize.minimize(objective, net.theta, jac=True, method="CG", options={"maxiter": 3})
        return [result.x for result in (descended, quasi_newton, newton, from_scipy)]

    for summed_theta, local_theta in zip(minimised(summed), minimised(local), strict=True):
        np.testing.assert_allclose(summed_theta, local_theta, rtol=1e-7, atol=1e-9)
        assert not np.array_equal(summed_theta, net.theta)


def test_max_norm_is_seen_to_after_steps(client, examples, network):
    X, y = examples()
    net = network()
    summed = SummedObjective(client, net, cut(X, y, pieces=2), max_norm=0.5)
    found = mlp.sgd(summed, net.theta.copy(), batch_size=None, epochs=1, learning_rate=0.1)
    norms = [np.linalg.norm(layer.W, axis=1).max() for layer in net.at(found.x).layers]
    assert max(norms) == pytest.approx(0.5, rel=1e-12)


def test_what_is_refused(client, refused, examples, network):
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
    with refused(ValueError, "rows: received some", "subset=None"):
        mlp.newton(summed, net.theta.copy(), subset=8)
    with refused(ValueError, "noise: received 1"):
        summed(net.theta, noise=1)
    with refused(OSError, "no scheduler answers there"), connect("nonsense://here"):
        pass


def test_one_blas_thread_a_worker_thread(client, examples, network):
    from threadpoolctl import threadpool_info, threadpool_limits

    client.run(lambda: (work._prepare_process.cache_clear(), threadpool_limits(limits=2, user_api="blas"))[0])
    X, y = examples(24)
    summed = SummedObjective(client, network(), cut(X, y, pieces=4))
    assert len(summed) == 24
    read = [address for address, keys in client.has_what().items() if any("read_part" in key for key in keys)]
    assert read  # a busy worker may have left its parts to the other
    for found in client.run(threadpool_info, workers=read).values():
        assert {pool["num_threads"] for pool in found if pool["user_api"] == "blas"} == {1}


def test_fingerprints_differ_where_examples_or_settings_do(client, examples, network):
    X, y = examples(24)
    parts = cut(X, y, pieces=2)
    prints = {
        SummedObjective(client, network(), parts).fingerprint(),
        SummedObjective(client, network(), parts, weight_decay=1).fingerprint(),
        SummedObjective(client, network(), cut(X + 1, y, pieces=2)).fingerprint(),
    }
    assert len(prints) == 3
    assert SummedObjective(client, network(), cut(X, y, pieces=2)).fingerprint() in prints


@pytest.mark.parametrize("pieces", [4, 32])
def test_what_moves_grows_with_workers_and_not_with_parts(client, examples, pieces):
    """By the workers' own logs: of two, one gets θ from the other, which gets its gradient: 2 (W − 1) θ in all."""
    X, y = examples()
    net = mlp.MLP([12, 9000, 4], dtype="float32", seed=0)
    summed = SummedObjective(client, net, cut(X, y, pieces=pieces))
    summed(net.theta)  # now all that is kept by workers is there

    def count():
        logs = client.run(lambda dask_worker: [entry["total"] for entry in dask_worker.transfer_incoming_log])
        return sum(map(sum, logs.values()))

    before = count()
    for step in range(3):
        summed(net.theta + step)
    moved = (count() - before) / 3
    assert moved == pytest.approx(2 * net.theta.nbytes, rel=0.02)
