"""The kind of figure that `mlp.plots` makes. It imports matplotlib, and so is imported with the first figure only."""

from io import BytesIO

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A Figure that a notebook shows by itself, without pyplot or %matplotlib."""

    def _repr_png_(self) -> bytes:
        stream = BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()
