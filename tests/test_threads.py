"""What shares work out among threads: products cut into parts, BLAS's threads, and threads of our own."""

import os
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mlp
from mlp import parts, threads
from mlp.blas import gemm
from mlp.threads import Pace, one_thread, run

needs_batched = pytest.mark.skipif(not parts.BATCHED, reason="scipy's BLAS has no batched product here")


@pytest.fixture(autouse=True)
def _as_it_was():
    yield
    threads.set_threads(None)


def lay(array, how):
    return np.ascontiguousarray(array) if how == "rows" else np.asfortranarray(array)


@needs_batched
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "inner", "n"), [(256, 784, 128), (77, 300, 1000), (2048, 130, 257), (512, 2048, 512)])
@pytest.mark.parametrize("first", ["rows", "columns"])
@pytest.mark.parametrize("second", ["rows", "columns"])
def test_a_product_in_parts_is_the_product(dtype, m, inner, n, first, second):
    rng = np.random.default_rng(0)
    A = lay(rng.standard_normal((m, inner)).astype(dtype), first)
    B = lay(rng.standard_normal((inner, n)).astype(dtype), second)
    C = rng.standard_normal((m, n)).astype(dtype)
    assert parts.can_be_cut(A, C)
    expected = -2.0 * (A.astype(float) @ B.astype(float)) + 0.5 * C
    gemm(-2.0, A, B, 0.5, C)
    assert_allclose(C, expected, atol=2e-3 if dtype == "float32" else 1e-10)
    C[...] = np.nan
    gemm(1.0, A, B, 0.0, C)
    assert_allclose(C, A.astype(float) @ B.astype(float), atol=2e-3 if dtype == "float32" else 1e-10)


@needs_batched
def test_parts_are_decided_by_size_alone():
    A, B = np.ones((256, 784), np.float32), np.ones((784, 127), np.float32)
    assert parts.can_be_cut(A, np.empty((256, 127), np.float32))
    assert not parts.can_be_cut(A, np.empty((256, 41), np.float32))
    assert not parts.can_be_cut(A, np.empty((127, 256), np.float32).T)
    seen = []
    for number in (1, 2, 5):
        threads.set_threads(number)
        C = np.empty((256, 127), np.float32)
        gemm(1.0, A, B, 0.0, C)
        seen.append(C)
    assert_array_equal(seen[0], seen[1])
    assert_array_equal(seen[0], seen[2])


@pytest.mark.parametrize("longer", [64, 65, 79, 80, 95, 96, 97, 128, 1000, 60000])
@pytest.mark.parametrize("times", [1, 3, 20, 1000])
def test_no_part_is_small(longer, times):
    """OpenBLAS's batched product crashes on some processors where one has up to 100³ multiplications (its issue 5980)."""
    multiplications = parts.IN_TWO * times
    starts = parts.cut(longer, multiplications)
    lengths = np.diff([*starts, longer])
    assert len(starts) >= 2
    assert min(lengths) * (multiplications / longer) > 100**3
    assert max(lengths) <= 3 * min(lengths)
    assert all(start % parts.STEP == 0 for start in starts)


TRAINED = """
import mlp, numpy as np
from mlp.threads import set_threads
set_threads({threads})
rng = np.random.default_rng(0)
X, y = rng.random((300, 784)).astype(np.float32), rng.integers(0, 10, 300)
net = mlp.MLP([784, 300, 10], seed=0)
objective = mlp.Objective(net, X, y, weight_decay=1e-3)
mlp.sgd(objective, net.theta, learning_rate=0.1, momentum=0.9, batch_size=100, epochs=2, seed=0)
mlp.lbfgs(objective, net.theta, maxiter=2)
print(net.theta.tobytes().hex())
"""


@needs_batched
def test_training_has_the_same_bits_on_any_number_of_threads():
    """Whatever BLAS is told in the environment, and whatever share out."""
    results = set()
    for blas, share in (("1", None), ("2", None), ("2", 2), ("4", 3)):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": blas}
        done = subprocess.run(
            [sys.executable, "-c", TRAINED.format(threads=share)], env=environment, capture_output=True, text=True, check=True
        )
        results.add(done.stdout)
    assert len(results) == 1


def test_the_faster_number_of_threads_is_taken_and_the_other_is_tried_now_and_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    pace, taken = Pace(), []

    def go(seconds, calls):
        for _ in range(calls):
            number = pace.choose(4)
            taken.append(number)
            pace.record(number, seconds[number])
        found, taken[:] = list(taken), []
        return found

    assert go({4: 1.0, 1: 3.0}, 14) == [4] * 7 + [1] * 7
    assert go({4: 1.0, 1: 3.0}, 4) == [1] * 4  # tried again, and given up when its median must be the larger
    assert go({4: 1.0, 1: 3.0}, 20) == [4] * 20
    assert go({4: 8.0, 1: 3.0}, 3) == [4] * 3  # a thread that has slept
    assert go({4: 1.0, 1: 3.0}, 7) == [4] * 7
    assert go({4: 8.0, 1: 3.0}, 6) == [4] * 4 + [1] * 2  # busy
    clock[0] += 0.06  # what was faster the last time is soon tried again
    assert go({4: 2.0, 1: 3.0}, 9) == [4] * 9  # idle again: the trial shows it
    clock[0] += 3
    assert go({4: 2.0, 1: 1.5}, 9) == [1] * 9


def test_blas_has_one_thread_within_and_its_own_number_afterwards(monkeypatch):
    counts, seen = {"scipy": 4, "numpy": 1}, []

    def library(name):
        def set_to(count):
            counts[name] = count
            seen.append((name, count))

        return (lambda: counts[name]), set_to

    monkeypatch.setattr(threads, "_thread_counts", lambda: [library("scipy"), library("numpy")])
    alone = threads._OneThread()
    with pytest.raises(ZeroDivisionError), alone, alone:
        raise ZeroDivisionError
    assert seen == [("scipy", 1), ("scipy", 4)]
    with alone:
        assert counts == {"scipy": 1, "numpy": 1}
    assert counts == {"scipy": 4, "numpy": 1}


def test_a_product_is_one_threads_where_another_thread_is_at_work(monkeypatch):
    """BLAS's number of threads is the whole process's: the other one's small products must not see it."""
    seen = []
    alone = threads._OneThread()
    threads.set_threads(2)
    monkeypatch.setattr(threads, "_thread_counts", lambda: [(lambda: 4, seen.append)])
    inside, over = threading.Event(), threading.Event()

    def work():
        with alone:
            inside.set()
            over.wait(10)

    other = threading.Thread(target=work)
    other.start()
    inside.wait(10)
    alone.share(lambda _: None, [], 1.0, "shape")
    over.set()
    other.join()
    assert 2 not in seen
    threads._awake_until = 0.0
    alone.share(lambda _: None, [], 1.0, "shape")
    assert 2 in seen


def test_a_product_is_one_threads_soon_after_tasks_were_shared_out(monkeypatch):
    """BLAS's threads stay awake, waiting, for longer than it takes to come to the next tasks."""
    seen, clock = [], [100.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(threads, "_thread_counts", lambda: [(lambda: 4, seen.append)])
    monkeypatch.setattr(threads, "_awake_until", 0.0)
    alone = threads._OneThread()
    threads.set_threads(2)
    for seconds, expected in ((0.05, False), (0.2, True)):
        run([lambda: None] * 2)
        seen.clear()
        clock[0] += seconds
        alone.share(lambda _: None, [], 1.0, "shape")
        assert (2 in seen) is expected


def test_soon_after_tasks_were_shared_out_a_product_is_made_in_parts_on_the_same_threads(monkeypatch):
    asked = []
    monkeypatch.setattr(threads, "_awake_until", np.inf)
    threads.set_threads(2)
    parts = [lambda alpha, part=part: asked.append((part, alpha)) for part in (0, 1, 2)]
    threads._OneThread().share(lambda alpha: asked.append(("whole", alpha)), parts, 0.5, "shape")
    assert sorted(asked) == [(0, 0.5), (1, 0.5), (2, 0.5)]


def test_tasks_are_all_done_once_whoever_does_them():
    threads.set_threads(3)
    for count in (0, 1, 2, 7):
        done = np.zeros(count)
        run([partial(np.add.at, done, number, 1) for number in range(count)])
        assert_array_equal(done, np.ones(count))


def test_tasks_run_side_by_side():
    """Each waits for the other: one thread alone would wait in vain."""
    threads.set_threads(2)
    barrier = threading.Barrier(2)
    run([lambda: barrier.wait(10)] * 2)


def test_an_error_in_a_task_is_raised_when_all_have_ended():
    threads.set_threads(2)
    done = []

    def fail():
        raise ZeroDivisionError("here")

    with pytest.raises(ZeroDivisionError, match="here"):
        run([fail, *[lambda: done.append(1)] * 5])
    assert len(done) == 5


def test_tasks_may_share_out_tasks_of_their_own():
    threads.set_threads(2)
    done = []
    run([lambda: run([lambda: done.append(1)] * 3)] * 3)
    assert len(done) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_makes_threads_of_its_own():
    code = (
        "import os, warnings; warnings.simplefilter('ignore'); from mlp.threads import run, set_threads; set_threads(2)\n"
        "run([int] * 4)\n"
        "pid = os.fork()\n"
        "import threading; barrier = threading.Barrier(2)\n"
        "run([lambda: barrier.wait(10)] * 2)\n"
        "if pid: assert os.waitpid(pid, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_number_of_threads_is_checked():
    with pytest.raises(ValueError, match=r"^threads: received 0"):
        threads.set_threads(0)
    assert threads.get_threads() >= 1
    threads.set_threads(3)
    assert threads.get_threads() == 3


def test_objectives_of_several_threads_give_what_one_gives():
    X, y = np.random.default_rng(0).random((200, 784)).astype(np.float32), np.arange(200) % 10
    net = mlp.MLP([784, 300, 10], seed=0)
    alone = mlp.Objective(net, X, y)(net.theta)[1]
    found = [None] * 3

    def work(number):
        found[number] = mlp.Objective(net, X, y)(net.theta)[1]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for gradient in found:
        assert_array_equal(gradient, alone)
    assert not one_thread._inside
