"""Workers that are killed, are gone or run something else, and what that costs: time, and no result."""

import contextlib
import os
import random
import signal
import sys
import threading
import time

import cloudpickle
import dask
import numpy as np
import pytest

import mlp
from mlp.cluster import Arrays, ClusterError, SummedObjective, cut

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # so that workers get the parts below without importing tests

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


class Slow(Arrays):
    """A part that takes its time whenever it is read."""

    def read(self):
        time.sleep(0.1)
        return super().read()


class Deadly(Arrays):
    """A part whose reading kills the worker."""

    def read(self):
        os.kill(os.getpid(), signal.SIGKILL)


def find_pids(client):
    """The process of each worker that answers, by its address; once there is one."""
    while not (found := client.run(os.getpid, on_error="ignore")):
        time.sleep(0.05)
    return found


@pytest.fixture
def trained(examples, network):
    """Makes θ (P,) after some iterations on a cluster."""

    def make(client, dtype="float32", each_step=None, maxiter=8):
        X, y = examples()
        net = network(dtype)
        summed = SummedObjective(client, net, cut(X, y, pieces=11), weight_decay=1e-3)
        return mlp.lbfgs(summed, net.theta.astype(np.float64), maxiter=maxiter, gtol=0, ftol=0, callback=each_step).x

    return make


def test_theta_has_the_same_bits_on_1_2_and_4_workers(client, trained, resize):
    found = {}
    for workers in (2, 4, 1):
        resize(client, workers)
        found[workers] = [trained(client, dtype).tobytes() for dtype in ("float32", "float64")]
    assert found[1] == found[2] == found[4]


def kill(pid):
    with contextlib.suppress(ProcessLookupError):  # it may be dead already
        os.kill(pid, signal.SIGKILL)


def kill_at(client, iterations, killed):
    """A callback that kills a worker in each of these iterations, some at once and some within the next evaluation."""

    def each_step(intermediate_result):
        if intermediate_result.nit in iterations:
            pids = find_pids(client)
            victim = pids[sorted(pids)[len(killed) % len(pids)]]
            killed.append(victim)
            threading.Timer(random.Random(len(killed)).uniform(0, 0.1), kill, (victim,)).start()

    return each_step


def test_theta_has_the_same_bits_if_three_workers_are_killed(client, trained):
    killed = []
    found = trained(client, each_step=kill_at(client, (2, 4, 6), killed))
    assert found.tobytes() == trained(client).tobytes()
    assert len(set(killed)) == 3


@pytest.mark.slow  # half a minute
def test_theta_has_the_same_bits_if_a_worker_is_killed_in_every_iteration(client, trained, resize):
    killed = []
    one_more = kill_at(client, range(1, 21), killed)

    def each_step(intermediate_result):
        resize(client, 2)  # one that is killed as it comes up isn't replaced by LocalCluster
        one_more(intermediate_result)

    found = trained(client, each_step=each_step, maxiter=20)
    assert found.tobytes() == trained(client, maxiter=20).tobytes()
    assert len(killed) == 20


def test_a_worker_killed_while_it_reads_costs_no_result(client, examples, network):
    X, y = examples()
    net = network()
    victim = next(iter(find_pids(client).values()))
    timer = threading.Timer(0.25, os.kill, (victim, signal.SIGKILL))
    timer.start()
    found = SummedObjective(client, net, [Slow(part.X, part.y) for part in cut(X, y, pieces=12)])(net.theta)
    timer.join()
    expected = SummedObjective(client, net, cut(X, y, pieces=12))(net.theta)
    assert found[0] == expected[0]
    assert found[1].tobytes() == expected[1].tobytes()


def test_a_part_that_kills_its_workers_is_named(client, examples, network):
    X, y = examples(24)
    parts = [cut(X, y, pieces=2)[0], Deadly(None, name="the deadly one")]

    def allow(failures):
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", failures))

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        allow(0)
        with pytest.raises(ClusterError, match=r"parts\[1\] \(the deadly one\): a worker died each time"):
            SummedObjective(client, network(), parts)
    allow(3)


def test_a_cluster_without_workers_is_said_and_waited_for(client, examples, network, resize, monkeypatch):
    X, y = examples(24)
    net = network()
    waiting = SummedObjective(client, net, cut(X, y, pieces=2))
    stopping = SummedObjective(client, net, cut(X, y, pieces=2), wait=0.2)
    expected = waiting(net.theta)
    resize(client, 0)
    with pytest.raises(ClusterError, match=r"cluster: tcp://.* has no workers left: stopped after waiting 0.2 s"):
        stopping(net.theta)
    monkeypatch.setattr("mlp.cluster.client.PATIENCE", 0.1)
    timer = threading.Timer(0.5, client.cluster.scale, (1,))
    timer.start()
    with pytest.warns(RuntimeWarning, match="has no workers left: waiting until one comes"):
        found = waiting(net.theta)
    timer.join()
    assert found[0] == expected[0]
    assert found[1].tobytes() == expected[1].tobytes()


@pytest.mark.parametrize("package", ["numpy", "mlp"])
def test_another_version_on_a_worker_is_noticed_at_the_start(client, examples, network, package):
    def disguise(version):
        import importlib

        importlib.import_module(package).__version__ = version

    address = sorted(client.nthreads())[1]
    version = sys.modules[package].__version__
    client.run(disguise, "0.0.1", workers=[address])
    X, y = examples(24)
    with pytest.raises(ClusterError, match=f"worker {address} has {package} 0.0.1 where the client has {version}"):
        SummedObjective(client, network(), cut(X, y, pieces=2))
    client.run(disguise, version, workers=[address])
