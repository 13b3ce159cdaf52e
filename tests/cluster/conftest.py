"""A cluster of two worker processes for all tests here: those that kill some of them, or add some, leave it as it was."""

import time

import distributed
import numpy as np
import pytest

import mlp


@pytest.fixture(scope="package")
def cluster_of_two():
    """A client of a cluster whose dead workers are replaced."""
    settings = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, **settings) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def client(cluster_of_two):
    """The client, once there are two workers."""
    resize(cluster_of_two, 2)
    return cluster_of_two


def resize(client, workers):
    """Let there be so many workers. One that was killed as it came up isn't replaced: where one is missing, all are."""
    if len(client.cluster.worker_spec) != workers:
        client.cluster.scale(workers)
    deadline = time.monotonic() + 60
    while not has_workers(client, workers, seconds=5):
        assert time.monotonic() < deadline, f"there are {len(client.nthreads())} workers, not {workers}"
        client.cluster.scale(0)
        has_workers(client, 0, seconds=5)
        client.cluster.scale(workers)


def has_workers(client, workers, seconds):
    """Whether there are so many workers within that time."""
    deadline = time.monotonic() + seconds
    while len(client.nthreads()) != workers:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(name="resize")
def resize_fixture():
    return resize


@pytest.fixture
def examples():
    """Makes X (n, 12) and labels of four classes."""

    def make(n=96):
        rng = np.random.default_rng(3)
        return rng.uniform(size=(n, 12)), rng.integers(0, 4, n)

    return make


@pytest.fixture
def network():
    """Makes a network for them."""

    def make(dtype="float64"):
        return mlp.MLP([12, 8, 4], hidden="tanh", dtype=dtype, seed=5)

    return make
