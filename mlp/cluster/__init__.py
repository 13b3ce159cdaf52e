"""The same objective summed over a Dask cluster: `SummedObjective`, which minimisers take as they take `mlp.Objective`.

Read parts.py and tables.py first (the examples, cut into parts that workers read), then sums.py (why the sum has the same bits
on any cluster), work.py (what workers do), placement.py (which worker has which part) and objective.py (what the client does).
client.py connects to a cluster, and checks what runs there. It needs the extra `cluster`.
"""

try:
    import distributed as _distributed  # noqa: F401
    import threadpoolctl as _threadpoolctl  # noqa: F401
except ImportError as error:
    raise ImportError("mlp.cluster needs dask.distributed: pip install 'layerwise-mlp[cluster]'") from error

from mlp.cluster.client import ClusterError as ClusterError
from mlp.cluster.client import connect as connect
from mlp.cluster.objective import SummedObjective as SummedObjective
from mlp.cluster.parts import Arrays as Arrays
from mlp.cluster.parts import Idx as Idx
from mlp.cluster.parts import Npz as Npz
from mlp.cluster.parts import cut as cut
from mlp.cluster.tables import Table as Table
from mlp.cluster.tables import cut_frame as cut_frame
