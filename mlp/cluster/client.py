"""The client's side of a cluster: connecting to one, waiting for what it does, and checking what its workers run."""

import asyncio
import concurrent.futures
import os
import time
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import dask
import distributed

from mlp.checks import shown
from mlp.cluster import work

#: How often, in seconds, a wait looks whether there are workers, and for how long there are none before it says so.
LOOK, PATIENCE = 0.5, 5.0

_CANCELLED = (concurrent.futures.CancelledError, asyncio.CancelledError)


@contextmanager
def connect(address: str) -> Iterator[distributed.Client]:
    """A client of the scheduler at an address such as tcp://HOST:8786; "local": of workers on this machine's cores.

    Raises:
        OSError: no scheduler answers there.
    """
    if address == "local":
        settings = {"n_workers": count_cores(), "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
        with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
            yield client
        return
    try:
        client = distributed.Client(address)
    except (OSError, ValueError, ImportError) as error:  # ValueError, ImportError: an address of no known kind
        raise OSError(f"cluster: received {address!r}, but no scheduler answers there: {error}") from error
    with client:
        yield client


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_client(client: Any) -> distributed.Client:
    """The value, if it is a client that can be waited for."""
    if not isinstance(client, distributed.Client):
        raise TypeError(f"client: received {shown(client)}, but it must be a distributed.Client")
    if client.asynchronous:
        raise ValueError("client: received an asynchronous Client, but it must be one that waits: asynchronous=False")
    return client


def address_of(client: distributed.Client) -> str:
    """Where its scheduler is."""
    return str(client.scheduler.address if client.scheduler is not None else client.cluster)


def wait_for_workers(client: distributed.Client, limit: float | None) -> dict[str, int]:
    """The threads of each worker, of which there is at least one.

    Raises:
        ClusterError: there is none for `limit` seconds (None: it waits for ever).
    """
    watch = _Watch(client, limit)
    while not (threads := watch.look()):
        time.sleep(min(LOOK, 0.1))
    return threads


class ClusterError(OSError):
    """What only a cluster can fail at: no workers, other versions on them, a part that they all die of."""


class AllReplaced(Exception):
    """All workers that there were are gone, and others have come: tasks that preferred the former may wait for ever."""


def wait_for(client: distributed.Client, future: Any, limit: float | None, workers: Collection[str]) -> Any:
    """The result of a future, or of a list of them, as long as there are workers.

    Raises:
        AllReplaced: none of those workers, to which the tasks were given, is left.
        ClusterError: there are none for `limit` seconds (None: it waits for ever), or the scheduler is gone.
    """
    watch = _Watch(client, limit)
    try:
        while True:
            try:
                distributed.wait(future, timeout=LOOK)
                break
            except TimeoutError:  # of this wait; a task's own is raised by gather
                threads = watch.look()
                if threads and not any(worker in threads for worker in workers):
                    raise AllReplaced from None  # Dask gives a task that has met no worker only to those it prefers
        return client.gather(future)
    except _CANCELLED as error:
        raise ClusterError(f"cluster: the scheduler at {address_of(client)} is gone, or has forgotten the tasks") from error


class _Watch:
    """Looks whether there are workers, says so where there are none, and stops where that lasts too long."""

    def __init__(self, client: distributed.Client, limit: float | None):
        self.client, self.limit = client, limit
        self.none_since: float | None = None
        self.told = False

    def look(self) -> dict[str, int]:
        """The threads of each worker."""
        try:
            threads = {address: int(count) for address, count in self.client.nthreads().items()}
        except OSError as error:
            raise ClusterError(f"cluster: the scheduler at {address_of(self.client)} is gone: {error}") from error
        if threads:
            self.none_since = None
            return threads
        now = time.monotonic()
        self.none_since = now if self.none_since is None else self.none_since
        lacking = now - self.none_since
        where = f"cluster: {address_of(self.client)} has no workers left"
        if self.limit is not None and lacking >= self.limit:
            raise ClusterError(f"{where}: stopped after waiting {self.limit:g} s for one")
        if lacking >= PATIENCE and not self.told:
            until = "until one comes" if self.limit is None else f"{self.limit:g} s for one"
            warnings.warn(f"{where}: waiting {until}", RuntimeWarning, stacklevel=2)
            self.told = True
        return {}


def check_versions(client: distributed.Client, workers: Iterable[str]) -> None:
    """Raise ClusterError unless these workers run the client's versions of mlp, numpy, scipy and Python."""
    expected = work.find_versions()
    found = client.run(work.find_versions, workers=list(workers), on_error="return")
    for address, versions in found.items():
        if isinstance(versions, OSError):
            continue  # it died meanwhile
        if isinstance(versions, Exception):
            raise ClusterError(f"cluster: worker {address} can't say its version of mlp: {versions!r}") from versions
        difference = work.describe_difference(versions, expected)
        if difference:
            raise ClusterError(f"cluster: worker {address} has {difference}")


@contextmanager
def placed(homes: dict[str, str]) -> Iterator[None]:
    """Tasks submitted within prefer these workers, by key; where one is gone, any other may do the task."""
    silent = {"distributed.admin.large-graph-warning-threshold": "1 TiB"}  # θ travels with its task on purpose
    with dask.config.set(silent), dask.annotate(workers=homes.__getitem__, allow_other_workers=True):
        yield
