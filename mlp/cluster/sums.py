"""Sums over parts in a fixed tree, so that a sum has the same bits whoever adds up what.

The tree is over the parts' numbers: node (level, j) is the sum of the parts j·2^level to (j + 1)·2^level − 1, made of the nodes
(level − 1, 2j) and (level − 1, 2j + 1), in this order. A worker that has some of the parts adds up every node that it has
both halves of; a merge of two workers' nodes goes on with that. Floating-point addition isn't associative, but here no
order is left to choose: whatever the workers and whoever died, each node is the same two numbers added.

A run of neighbouring parts comes to few nodes, to one where its ends are those of a node: that is what has to be moved.
"""

from collections.abc import Iterable, Mapping

from mlp.blas import Array

#: What is summed: a few numbers in float64, and a vector in the network's dtype.
Value = tuple[Array, Array]

#: Nodes of the tree, (level, j): value, none of which is half of another one that could be made.
Nodes = dict[tuple[int, int], Value]


def add_value(nodes: Nodes, part: int, value: Value) -> None:
    """Add a part's value. Its arrays and those of `nodes` must be the caller's own: they are added up in place."""
    _join(nodes, (0, part), value, in_place=True)


def merge(given: Iterable[Mapping[tuple[int, int], Value]]) -> Nodes:
    """The nodes of all, joined; what was given is left as it was."""
    nodes: Nodes = {}
    for some in given:
        for place, value in some.items():
            _join(nodes, place, value, in_place=False)
    return nodes


def total(nodes: Mapping[tuple[int, int], Value]) -> Value:
    """The sum of all nodes, from the smallest up: where the number of parts is no power of 2, several are left."""
    values = [nodes[place] for place in sorted(nodes)]
    numbers, vector = values[0]
    for more_numbers, more_vector in values[1:]:
        numbers, vector = more_numbers + numbers, more_vector + vector
    return numbers, vector


def _join(nodes: Nodes, place: tuple[int, int], value: Value, in_place: bool) -> None:
    level, j = place
    while (level, j ^ 1) in nodes:
        sibling = nodes.pop((level, j ^ 1))
        left, right = (sibling, value) if j & 1 else (value, sibling)
        value = _add(left, right, in_place)
        level, j = level + 1, j >> 1
    nodes[level, j] = value


def _add(left: Value, right: Value, in_place: bool) -> Value:
    if not in_place:
        return left[0] + right[0], left[1] + right[1]
    for into, array in zip(left, right, strict=True):
        into += array
    return left
