"""Figures of what a network learned, how training went and what it gets wrong; thin over matplotlib.

Every function returns its Figure: a new one, or that of `ax`, Axes to draw in. `file` is where to write it: a path (.png,
.pdf, .svg) or an open binary file (as PNG). No window is opened and pyplot is not touched, so that scripts without a
display, notebooks (which show a figure that is a cell's last value) and loops over a thousand figures all work.
matplotlib is imported when the first figure is made, not before.

Read features.py (W as pictures), fields.py (where a unit looks), answers.py (confusion, mistakes), layers.py (activations,
weights, gradients; maps.py has activations that are maps) and curves.py (cost and accuracy). canvas.py, mosaic.py, inputs.py
and runs.py serve them. `python -m mlp.plots RUN` draws a saved run's figures.
"""

from mlp.plots.answer import answer as answer
from mlp.plots.answers import confusion as confusion
from mlp.plots.answers import mistakes as mistakes
from mlp.plots.curves import curves as curves
from mlp.plots.features import features as features
from mlp.plots.fields import receptive_field as receptive_field
from mlp.plots.film import Film as Film
from mlp.plots.layers import activations as activations
from mlp.plots.layers import gradients as gradients
from mlp.plots.layers import weights as weights
