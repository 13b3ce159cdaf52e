"""How the processors share the work: BLAS's threads for large products, threads of our own for tasks made of many steps.

BLAS's threads stay awake, waiting, between two products. On an idle machine that is fast; where another program wants the
same processors, it is two to twenty times slower than one thread. So all that is small is one thread's work (`one_thread`),
and for each large product it is found out, by trying both now and then, which is faster (`Pace`). Tasks of many small
steps, such as a convolution's, are shared out among threads that sleep in between (`run`).

Results don't depend on any of this. How a computation is cut into parts depends on its size alone, each part is one
thread's work, and it doesn't matter whose.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import scipy

from mlp.checks import check_integer

Task = Callable[[], object]
Multiply = Callable[[float], None]

#: After how many seconds what was slower is tried again: soon where it was faster the last time, since what made it slow may
#: be over, and later each time that it wasn't. And how many times in a row, at most. The median counts: a thread that has
#: slept takes some milliseconds, and two or three products, until it is on a processor of its own.
_SOON, _EVERY, _TRIES = 0.05, 2.0, 7

#: For how many seconds after tasks were shared out BLAS's threads would be in the way of the next ones.
_IN_THE_WAY = 0.1


@cache
def blas_libraries() -> list[Any]:
    """The BLAS libraries that came with scipy and numpy, in this order; none where they use others."""
    found = []
    for package in (scipy, np):
        folder = Path(str(package.__file__)).resolve().parent
        for path in sorted([*folder.parent.glob(f"{folder.name}.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]):
            try:
                found.append(ctypes.CDLL(str(path)))
            except OSError:
                continue
    return found


@cache
def _thread_counts() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """What tells and sets how many threads each of them uses."""
    found = []
    for library in blas_libraries():
        for ending in ("", "64_"):
            tell = getattr(library, f"scipy_openblas_get_num_threads{ending}", None)
            set_to = getattr(library, f"scipy_openblas_set_num_threads{ending}", None)
            if tell and set_to:
                found.append((tell, set_to))
    return found


@cache
def _own_counts() -> list[int]:
    """How many threads each of them uses when it is left alone."""
    return [tell() for tell, _ in _thread_counts()]


_limit: int | None = None


def get_threads() -> int:
    """How many threads may share the work: what was set, or else as many as BLAS uses when left alone, which its environment
    variables decide. One, where BLAS can't be kept from using threads of its own."""
    return _limit or min(_own_counts(), default=1)


def set_threads(number: int | None) -> None:
    """Let so many threads share the work from now on, at least 1; None: as many as BLAS would use, where that is faster.
    Results don't depend on it."""
    global _limit
    _limit = None if number is None else check_integer("threads", number, at_least=1)


# BLAS's threads


class Pace:
    """On how many threads a product of one shape is faster, by what it took lately: one, or all there are."""

    def __init__(self) -> None:
        self.seconds: dict[int, list[float]] = {}
        #: The medians of these.
        self.usual: dict[int, float] = {}
        self.trial, self.left, self.slow, self.next = 1, 0, 0, 0.0
        self.best, self.wait = 0, _SOON

    def choose(self, most: int) -> int:
        """How many threads to take next, 1 or `most`."""
        for threads in (most, 1):
            if len(self.seconds.setdefault(threads, [])) < _TRIES:
                return threads
        if self.left:
            return self.trial
        faster, slower = (most, 1) if self.usual[most] <= self.usual[1] else (1, most)
        if time.monotonic() < self.next:
            return faster
        self.wait = min(2 * self.wait, _EVERY) if faster == self.best else _SOON
        self.best, self.trial, self.left, self.slow, self.next = faster, slower, _TRIES, 0, time.monotonic() + self.wait
        return slower

    def record(self, threads: int, seconds: float) -> None:
        """That is what it took."""
        lately = self.seconds[threads]
        lately.append(seconds)
        del lately[:-_TRIES]
        self.usual[threads] = sorted(lately)[len(lately) // 2]
        if self.left and threads == self.trial:
            self.left -= 1
            self.slow += seconds > min(self.usual.values())
            if self.slow > _TRIES // 2:  # the median can't be the smaller one any more
                self.left = 0


class _OneThread:
    """BLAS without threads of its own, in the whole process, for as long as any thread is `with` it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: How deep in `with` each thread is.
        self._inside: dict[int, int] = {}
        self._before: list[tuple[Callable[[int], None], int]] = []
        self._paces: dict[Hashable, Pace] = {}

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                _own_counts()  # seen before they are changed
                self._before = [(set_to, count) for tell, set_to in _thread_counts() if (count := tell()) > 1]
                for set_to, _ in self._before:
                    set_to(1)
            me = threading.get_ident()
            self._inside[me] = self._inside.get(me, 0) + 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            me = threading.get_ident()
            self._inside[me] -= 1
            if not self._inside[me]:
                del self._inside[me]
            if not self._inside:
                for set_to, count in self._before:
                    set_to(count)

    def share(self, multiply: Multiply, parts: Sequence[Multiply], alpha: float, shape: Hashable) -> None:
        """Make a product of that shape, given as a function of α and as one for each part of it, on several of BLAS's
        threads where that is faster.

        Where another thread of this process is at work as well, on one: it must not see BLAS set to more. Where our own
        threads were at work just now, and soon will be again, on these: BLAS's would stay awake in their way.
        """
        with self:
            most = get_threads()
            if most == 1 or len(self._inside) > 1:
                multiply(alpha)
                return
            if time.monotonic() < _awake_until:
                run([partial(part, alpha) for part in parts])
                return
            pace = self._paces.get(shape)
            if pace is None:
                pace = self._paces[shape] = Pace()
            threads = _limit or pace.choose(most)
            set_to = _thread_counts()[0][1]
            with self._lock:  # which keeps others from entering
                start = time.perf_counter()
                set_to(threads)
                try:
                    multiply(alpha)
                finally:
                    set_to(1)
                seconds = time.perf_counter() - start
            if _limit is None:
                pace.record(threads, seconds)


one_thread = _OneThread()


# Threads of our own


def equal_bounds(n: int, parts: int) -> list[int]:
    """Where parts of 0 … n begin and end, as equal as can be: parts + 1 numbers."""
    return [n * part // parts for part in range(parts + 1)]


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
_awake_until = 0.0


def run(tasks: Sequence[Task]) -> None:
    """Do all tasks, in any order and at the same time; ends when all have ended, and raises the error of one that failed."""
    global _awake_until
    job = _Job(tasks)
    for helper in _awaken(min(get_threads(), len(tasks)) - 1):
        _awake_until = time.monotonic() + _IN_THE_WAY
        if helper.jobs.qsize() < 2:  # or else it is far behind, and will have nothing left to do
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
