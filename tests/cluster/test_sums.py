"""Sums over parts in a tree of fixed shape, and which worker has which part: no cluster is needed."""

import numpy as np

from mlp.cluster.placement import place, share_among_threads
from mlp.cluster.sums import add_value, merge, total


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
