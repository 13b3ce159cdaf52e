"""What convolution and pooling do, in the lecture's own examples, each with its numbers.

 1. A 3 × 3 filter slides over a picture: hand-made ones find its edges.
 2. Ten 5 × 5 filters, stride 1, padding 2, on 32 × 32 × 3: what comes out, how many parameters, how many products.
 3. What sharing saves: the same volumes between the two, fully connected.
 4. Two convolutions without an activation between them are one, of a larger kernel.
 5. What a unit sees grows by K − 1 with each layer of kernel K: measured by input gradients.
 6. Max pooling, 2 × 2, by hand; and where the error goes back to.
 7. A shift of the image shifts the maps.

Source: the lecture on convolutional networks; 2 and 6 are the examples of Stanford's CS231n.

    python scripts/convolution.py      # a few seconds
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from picture import add_out, write
from scipy.signal import convolve2d

import mlp
from mlp import Conv, MaxPool

FILTERS = {
    "edges from dark to bright, left to right": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "edges from dark to bright, downwards": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "any edge (Laplace)": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "a mean (blur)": np.full((3, 3), 1 / 9),
}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
add_out(parser)
arguments = parser.parse_args()
rng = np.random.default_rng(0)


def network(entries: list, filters: np.ndarray | None = None) -> mlp.MLP:
    """Layers without activations, in float64; with those filters (maps, …), and no biases, in the first one."""
    net = mlp.MLP(entries, hidden="identity", output="identity", dtype="float64", seed=0)
    if filters is not None:
        net.layers[0].W[:] = np.reshape(filters, net.layers[0].W.shape)
    return net


def input_error(net: mlp.MLP, image: np.ndarray, Delta: np.ndarray) -> np.ndarray:
    """What the error Δ at the outputs is at the inputs, as an image: the gradient of a quadratic cost that has this Δ."""
    row = image.reshape(1, -1)
    objective = mlp.Objective(net, row, net.forward(row) - Delta.reshape(1, -1))
    return objective.input_gradient(net.theta).reshape(image.shape)


print("1. A filter slides over a picture")
small = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [0, 0, 9, 9]])
edge = network([(3, 4), Conv(1, 3)], FILTERS["edges from dark to bright, left to right"])
print(f"   (0 0 9 9) in three rows, by the filter of edges: {edge.forward(small.reshape(1, -1))[0].astype(int)}")
digit = mlp.load_mnist(validation=0)[2].X[:1] / 255  # (1, 784)
edges = network([(28, 28), Conv(4, 3)], list(FILTERS.values()))
maps = edges.forward(digit).reshape(26, 26, 4)

print("2. Ten 5 × 5 filters, stride 1, padding 2, on 32 × 32 × 3")
shared = mlp.MLP([(32, 32, 3), Conv(10, 5, padding=2), 10], seed=0).layers[0]
volume = " × ".join(map(str, shared.out_shape))
print(f"   output volume {volume}, {shared.size:,} parameters, {shared.multiply_adds:,} products")

print("3. What sharing saves")
full = (shared.fan_in + 1) * shared.units
print(f"   fully connected, 32 × 32 × 3 to {volume} has {full:,} parameters: {full / shared.size:,.0f} times as many")

print("4. Two convolutions without an activation between them are one")
two = network([(12, 12, 2), Conv(3, 3), Conv(4, 3)])
first, second = two.layers
first.b[:], second.b[:] = rng.standard_normal(3), rng.standard_normal(4)
inner, outer = first.W.reshape(3, 3, 3, 2), second.W.reshape(4, 3, 3, 3)  # (maps, rows, columns, channels)
joined = [
    [sum(convolve2d(outer[k, :, :, m], inner[m, :, :, c]) for m in range(3)) for c in range(2)] for k in range(4)
]  # (4, 2, 5, 5)
one = network([(12, 12, 2), Conv(4, 5)], np.moveaxis(joined, 1, -1))
one.layers[0].b[:] = second.b + outer.sum(axis=(1, 2)) @ first.b
X = rng.standard_normal((10, 288))
difference = np.abs(one.forward(X) - two.forward(X)).max()
print(f"   3 × 3 and 3 × 3 are one 5 × 5: the outputs differ by at most {difference:.1e}")

print("5. What a unit sees grows by K − 1 a layer")
fields = []
for depth in range(1, 6):
    deep = network([(15, 15), *[Conv(1, 3)] * depth])
    deep.theta[:] = 1
    rows, columns, _ = deep.layers[-1].out_shape
    Delta = np.zeros((rows, columns))
    Delta[rows // 2, columns // 2] = 1  # of the unit in the middle alone
    fields.append(input_error(deep, np.zeros((15, 15)), Delta))
    high, wide = (np.count_nonzero(fields[-1].any(axis=axis)) for axis in (1, 0))
    print(f"   {depth} × (3 × 3): {high} × {wide} pixels have a gradient")

print("6. Max pooling, 2 × 2, by hand")
image = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
pool = network([(4, 4), Conv(1, 1), MaxPool(2)], [1])  # the filter of 1 hands the image on
print(f"   the largest: {pool.forward(image.reshape(1, -1))[0].astype(int)}")
back = input_error(pool, image, np.array([10, 20, 30, 40])).astype(int)
places = (f"{back[row, column]} at ({row}, {column})" for row, column in np.argwhere(back))
print(f"   the error 10, 20, 30, 40 goes back to {', '.join(places)}")

print("7. A shift of the image shifts the maps")
shifted = np.roll(digit.reshape(28, 28), (2, 3), axis=(0, 1))  # the frame of a digit is empty
moved = edges.forward(shifted.reshape(1, -1)).reshape(26, 26, 4)
print(
    f"   by 2 rows and 3 columns: the maps differ by {np.abs(moved[2:, 3:] - maps[:-2, :-3]).max():.1e} from the shifted maps"
)

figure = Figure(figsize=(10, 4.9), dpi=144, layout="constrained")
panels = figure.subplots(2, 5)
panels[0, 0].imshow(digit.reshape(28, 28), cmap="gray")
panels[0, 0].set_title("a picture", fontsize=9)
for panel, (name, _), k in zip(panels[0, 1:], FILTERS.items(), range(4), strict=True):
    limit = np.abs(maps[..., k]).max()
    panel.imshow(maps[..., k], cmap="gray", vmin=-limit, vmax=limit)
    panel.set_title(name.replace(", ", ",\n").replace(" (", "\n("), fontsize=9)
for depth, (panel, field) in enumerate(zip(panels[1], fields, strict=True), 1):
    panel.imshow(field, cmap="magma")
    panel.set_title(
        f"{depth} convolution{'s' * (depth > 1)} of 3 × 3:\na unit sees {2 * depth + 1} × {2 * depth + 1}", fontsize=9
    )
for panel in panels.flat:
    panel.set(xticks=[], yticks=[])
write(figure, arguments.out)
