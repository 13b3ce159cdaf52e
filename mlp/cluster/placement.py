"""Which worker has which part: neighbours together, as many a worker as it has threads' share, and moved only if need be."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from mlp.threads import equal_bounds


def place(holders: Sequence[Collection[str]], threads: Mapping[str, int]) -> list[str]:
    """The worker that each part is to be with.

    Args:
        holders: for each part, the workers that have it already.
        threads: the number of threads of each worker; at least one worker.
    """
    count, workers = len(holders), sorted(threads)
    ends = [0]
    for worker in workers:
        ends.append(ends[-1] + threads[worker])
    bounds = [count * end // ends[-1] for end in ends]
    free = {worker: high - low for worker, (low, high) in zip(workers, pairwise(bounds), strict=True)}
    homes: list[str | None] = []
    for having in holders:
        home = next((worker for worker in workers if worker in having and free[worker]), None)
        if home is not None:
            free[home] -= 1
        homes.append(home)
    left = iter([worker for worker in workers for _ in range(free[worker])])
    return [next(left) if home is None else home for home in homes]


def share_among_threads(homes: Sequence[str], threads: Mapping[str, int]) -> list[tuple[str, list[int]]]:
    """Blocks of parts, (worker, numbers of its parts): one for each thread, ordered by their first parts."""
    blocks = []
    for worker in sorted(set(homes)):
        own = [part for part, home in enumerate(homes) if home == worker]
        count = min(threads[worker], len(own))
        blocks += [(worker, own[low:high]) for low, high in pairwise(equal_bounds(len(own), count))]
    return sorted(blocks, key=lambda block: block[1][0])
