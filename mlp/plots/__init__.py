"""Figures of what a network learned, how training went and what it gets wrong; thin over matplotlib.

Every function returns its Figure. It makes one of its own unless it is given `ax`, Axes to draw in, and writes it to a
file if it is given `file`: a path (.png, .pdf, .svg) or an open binary file (as PNG). No window is opened and pyplot is
not touched, so that a script without a display, a notebook (which shows a figure that is a cell's last value) and a loop
over a thousand figures all do the right thing. matplotlib is imported when the first figure is made, not before.

Read pictures.py (tiles: features, mistakes, activations) and charts.py (lines and counts: curves, confusion, weights,
gradients); mosaic.py, answers.py, runs.py and canvas.py serve them. `python -m mlp.plots RUN` draws a saved run's figures.
"""

from mlp.plots.charts import confusion as confusion
from mlp.plots.charts import curves as curves
from mlp.plots.charts import gradients as gradients
from mlp.plots.charts import weights as weights
from mlp.plots.pictures import activations as activations
from mlp.plots.pictures import features as features
from mlp.plots.pictures import mistakes as mistakes
