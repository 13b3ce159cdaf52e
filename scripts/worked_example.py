"""The lecture's worked example, by hand and by mlp: one example forward and backward through two ReLU units.

    x = (1, 2) → z = W x → h = ReLU(z) → y = v·h → C = ½(y − t)²,  with the target t = 1 and no biases

Every step is first done here in plain numpy, as on the blackboard, and printed with its equation; then mlp is asked for
the same numbers. (Source: the lecture on backpropagation; the equations are Nielsen's BP1 to BP4, ch. 2.)

    python scripts/worked_example.py
"""

import argparse

import numpy as np

import mlp

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()


def show(equation: str, value: np.ndarray | float) -> None:
    """Print a step of the calculation and what comes out."""
    print(f"  {equation:<32} = {(np.asarray(value) + 0.0).tolist()}")  # (+ 0.0 writes −0 as 0)


x, t = np.array([1.0, 2.0]), 1.0
W, v = np.array([[-1.0, 1.0], [1.0, -2.0]]), np.array([3.0, -1.0])

print("Forward")
z = W @ x
h = np.maximum(z, 0)
y = v @ h
C = 0.5 * (y - t) ** 2
show("z = W x", z)
show("h = ReLU(z)", h)
show("y = v·h", y)
show("C = ½(y − t)²", C)

print("Backward")
dy = y - t  # ∂C/∂y, the output's error δ²; dv is ∂C/∂v, and so on
dv = dy * h
dh = dy * v
dz = dh * (z > 0)  # the hidden units' errors δ¹; ReLU′(z) = [z > 0]
dw = np.outer(dz, x)
dx = W.T @ dz
show("δ² = ∂C/∂y = y − t", dy)
show("∂C/∂v = δ² h", dv)
show("∂C/∂h = δ² v", dh)
show("δ¹ = ∂C/∂z = ∂C/∂h ⊙ ReLU′(z)", dz)
show("∂C/∂W = δ¹ xᵀ", dw)
show("∂C/∂x = Wᵀ δ¹", dx)

print("The same by mlp")
net = mlp.MLP([mlp.Dense(2, 2, "relu"), mlp.Dense(2, 1, "identity")], dtype="float64")
net.layers[0].W[...] = W  # its biases are made as well: they are 0
net.layers[1].W[...] = v
X = x[None]  # a batch is one example a row: here (1, 2)
objective = mlp.Objective(net, X, [t])  # the natural cost of an identity output is the quadratic one

cost, gradient = objective(net.theta)
gradients = net.at(gradient)  # a gradient is laid out as θ is: the same network with its windows on it
errors = objective.errors(net.theta)  # Δ¹ and Δ²
comparison = {
    "net.forward(X, layer=0)": (net.forward(X, layer=0)[0], h),
    "net.forward(X)": (net.forward(X)[0, 0], y),
    "cost": (cost, C),
    "errors[1]": (errors[1][0, 0], dy),
    "errors[0]": (errors[0][0], dz),
    "net.at(gradient).layers[1].W": (gradients.layers[1].W[0], dv),
    "net.at(gradient).layers[0].W": (gradients.layers[0].W, dw),
    "objective.input_gradient(theta)": (objective.input_gradient(net.theta)[0], dx),
}
for name, (found, by_hand) in comparison.items():
    show(name, found)
    assert np.array_equal(found, by_hand), name

print("And by differences of the cost")
print(f"  {mlp.check_gradient(objective, net.theta)}")
