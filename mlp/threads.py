"""How many of BLAS's threads work on a product: `one_thread` for all that is small, `share` for what is large.

BLAS's threads stay awake, waiting, between two products. On an idle machine that is fast; where another program wants the
same processors, it is two to twenty times slower than one thread. So which is better is found out as the work goes on, by
trying both now and then (`Pace`). Results don't depend on it: blas.py cuts a large product into parts by its size alone, and
each part is one thread's work, whichever does it.
"""

import ctypes
import threading
import time
from collections.abc import Callable, Hashable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy

#: After how many seconds what was slower is tried again, and how many times in a row a trial is, at most.
_EVERY, _TRIES = 2.0, 3


@cache
def blas_libraries() -> list[Any]:
    """The BLAS libraries at work here that came with scipy and numpy, in this order; none where they are other people's."""
    found = []
    for package in (scipy, np):
        folder = Path(str(package.__file__)).resolve().parent
        for path in sorted([*folder.parent.glob(f"{folder.name}.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]):
            try:
                found.append(ctypes.CDLL(str(path)))
            except OSError:
                continue
    return found


def find_function(library: Any, name: str) -> Any:
    """A function of OpenBLAS as built for scipy (or numpy, with 64-bit integers), or None."""
    return getattr(library, f"scipy_{name}", None) or getattr(library, f"scipy_{name}64_", None)


class Pace:
    """On how many threads a product of one shape is faster, by what it took lately: one, or all there are."""

    def __init__(self) -> None:
        self.seconds: dict[int, list[float]] = {}
        #: The medians of these.
        self.usual: dict[int, float] = {}
        self.trial, self.left, self.next = 1, 0, 0.0

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
        self.trial, self.left, self.next = slower, _TRIES, time.monotonic() + _EVERY
        return slower

    def record(self, threads: int, seconds: float) -> None:
        """That is what it took."""
        lately = self.seconds[threads]
        lately.append(seconds)
        del lately[:-_TRIES]
        self.usual[threads] = sorted(lately)[len(lately) // 2]
        if self.left and threads == self.trial:
            hopeless = seconds > 2 * min(self.usual.values())
            self.left = 0 if hopeless else self.left - 1


class _OneThread:
    """BLAS without threads of its own, in the whole process, for as long as any thread is `with` it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: How deep in `with` each thread is.
        self._inside: dict[int, int] = {}
        self._before: list[tuple[Callable[[int], None], int]] = []
        self._paces: dict[Hashable, Pace] = {}
        self._limit: int | None = None

    @property
    def limit(self) -> int | None:
        """How many threads may share a product; None: as many as BLAS uses when left alone, where that is faster."""
        return self._limit

    def set_limit(self, number: int | None) -> None:
        self._limit = number

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
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

    def share(self, multiply: Callable[[float], None], alpha: float, shape: Hashable) -> None:
        """Make a product of that shape, cut into parts, on several of BLAS's threads where that is faster.

        Where another thread of this process is at work as well, on one: it must not see BLAS set to more.
        """
        with self:
            most = self._limit or (self._before[0][1] if self._before else 1)
            if most == 1 or not self._before or len(self._inside) > 1:
                multiply(alpha)
                return
            set_to = self._before[0][0]
            pace = self._paces.get(shape)
            if pace is None:
                pace = self._paces[shape] = Pace()
            threads = self._limit or pace.choose(most)
            with self._lock:  # which keeps others from entering
                set_to(threads)
                start = time.perf_counter()
                try:
                    multiply(alpha)
                finally:
                    seconds = time.perf_counter() - start
                    set_to(1)
            if self._limit is None:
                pace.record(threads, seconds)


@cache
def _thread_counts() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """What tells and sets how many threads each BLAS uses, scipy's first."""
    found = []
    for library in blas_libraries():
        tell, set_to = (find_function(library, f"openblas_{verb}_num_threads") for verb in ("get", "set"))
        if tell and set_to:
            found.append((tell, set_to))
    return found


one_thread = _OneThread()
