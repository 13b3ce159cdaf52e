"""`run`: parts of a computation, shared out among a few threads; `one_thread`: BLAS without threads of its own meanwhile.

BLAS's own threads stay awake between two products, waiting: fast on an idle machine, and two to twenty times slower than a
single thread where another program wants the same cores. The threads here sleep, and what a sleeping one hasn't begun
when it is wanted is done by the caller. How a computation is cut into parts must depend on its size alone: the numbers
are then the same, to the bit, whatever the number of threads and whoever did which part.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from queue import SimpleQueue

from mlp.checks import check_integer

Task = Callable[[], object]


class _Job:
    """Tasks that several threads take from, one at a time, each from the first on that nobody has taken."""

    def __init__(self, tasks: Sequence[Task]):
        self.left = iter(tasks)
        #: For each task that has ended, its error or None.
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def work(self) -> None:
        for task in self.left:
            try:
                task()
            except BaseException as error:  # which the caller raises
                self.ended.put(error)
            else:
                self.ended.put(None)


class _Helper(threading.Thread):
    """Sleeps until there is a job to help with."""

    def __init__(self) -> None:
        super().__init__(name="mlp", daemon=True)
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self.jobs.get().work()


_helpers: list[_Helper] = []
_limit: int | None = None


@cache
def _libraries() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """What tells and sets the number of threads of each BLAS at work here, numpy's and scipy's; none where they don't say."""
    import numpy as np
    import scipy

    found = []
    for package in (np, scipy):
        folder = Path(str(package.__file__)).resolve().parent
        for path in sorted([*folder.parent.glob(f"{folder.name}.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]):
            for ending in ("64_", ""):
                try:
                    library = ctypes.CDLL(str(path))
                    tell = getattr(library, f"scipy_openblas_get_num_threads{ending}")
                    set_to = getattr(library, f"scipy_openblas_set_num_threads{ending}")
                except (OSError, AttributeError):
                    continue
                found.append((tell, set_to))
    return found


def get_threads() -> int:
    """How many threads share the work: what was set, or else as many as BLAS would use when left alone, which its environment
    variables decide. One, where BLAS can't be kept from using threads of its own."""
    return _limit or min(_own_threads(), default=1)


def set_threads(number: int | None) -> None:
    """Let so many threads share the work from now on, at least 1; None: as at the beginning. Results don't depend on it."""
    global _limit
    _limit = None if number is None else check_integer("threads", number, at_least=1)


@cache
def _own_threads() -> list[int]:
    """How many threads each BLAS uses when it is left alone."""
    return [tell() for tell, _ in _libraries()]


def run(tasks: Sequence[Task]) -> None:
    """Do all tasks, in any order and at the same time; ends when all have ended, and raises the error of one that failed."""
    job = _Job(tasks)
    for helper in _awaken(min(get_threads(), len(tasks)) - 1):
        if helper.jobs.empty():  # or else it hasn't come to the last job yet
            helper.jobs.put(job)
    job.work()
    error: BaseException | None = None
    left = len(tasks)
    while left:
        try:
            error = job.ended.get() or error
            left -= 1
        except KeyboardInterrupt as interruption:  # arrays must not be written to any more when this ends
            error = interruption
    if error is not None:
        raise error


def _awaken(number: int) -> list[_Helper]:
    """So many helpers; those that are missing are made."""
    while len(_helpers) < number:
        _helpers.append(_Helper())
    return _helpers[:number]


# A process that is forked has no threads but the one that forked it.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_helpers.clear)


class _OneThread:
    """How deep in `with one_thread` blocks the process is, in all threads; the first sets, and the last restores."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before: list[tuple[Callable[[int], None], int]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            _own_threads()  # seen before they are changed
            self._before = [(set_to, count) for tell, set_to in _libraries() if (count := tell()) > 1]
            for set_to, _ in self._before:
                set_to(1)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                for set_to, count in self._before:
                    set_to(count)


#: BLAS without threads of its own, in the whole process, for as long as any thread is `with` it.
one_thread = _OneThread()
