"""The figures that `mlp.plots` makes. This module imports matplotlib: it is imported when the first one is made."""

from io import BytesIO

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A Figure that a notebook shows by itself, without pyplot or %matplotlib."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()
