"""Networks for other programs and people: ONNX, safetensors, C, a page. Read `formats` (what may be written, and how it is
checked), then one of `onnx`, `safetensors`, `c`, `page`.

`python -m mlp.export RUN-OR-MODEL FILE` is the command; in Python, `mlp.save` writes them by the file's ending.
"""

from mlp.export.agreement import Agreement as Agreement
from mlp.export.formats import FORMATS as FORMATS
from mlp.export.formats import read as read
from mlp.export.formats import write as write
