"""`write`: a network as one HTML page, on which one draws a digit, or fills in a form, and watches the network answer.

The page is html/page.html with its style sheet and scripts put in, and the network as JSON beside them. Read network.js
there for the forward pass, then picture.js (from a drawing to MNIST's kind of image), paper.js and form.js (what is drawn on,
or filled in), show.js and work.js (what is painted), and page.js, which ties them together. Nothing is fetched from anywhere.
"""

import base64
import html
import json
import os
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

import mlp
from mlp.activations import ACTIVATIONS
from mlp.blas import Array
from mlp.checkpoint.files import atomic_write
from mlp.checks import check_path, shown
from mlp.data.examples import Examples
from mlp.export.agreement import Answers
from mlp.export.page_data import NoPage as NoPage
from mlp.export.page_data import answer_of, encoded, examples_of, input_of
from mlp.export.parts import look_up
from mlp.export.samples import Samples
from mlp.layers import KINDS, Layer
from mlp.network import MLP, check_network

#: More than this many parameters, or products for an answer, and a phone would be too slow.
MOST_PARAMETERS, MOST_PRODUCTS = 4_000_000, 100_000_000

#: Networks of at most so many parameters are written in 32 bits; those of more in 8, each row of W with a scale.
IN_FULL = 50_000

_SCRIPTS = ("network.js", "picture.js", "paper.js", "show.js", "form.js", "work.js", "page.js")


def write(path: str | os.PathLike[str], net: MLP, test: Examples | None = None) -> None:
    """Write a network as an HTML page, whole or not at all.

    Args:
        path: where; an existing file is replaced.
        net: of the layers and activations that mlp has.
        test: examples, of which the page shows some, right and wrong ones, and how many are right; X as the network takes it.

    Raises:
        NoPage: a ValueError; a page can't show the network, for its own layers or activations, parameters that aren't finite,
            or its size.
        TypeError, ValueError: the arguments are no network and examples for it.
    """
    check_path("path", path)
    page = render(describe(net, test))
    with atomic_write(path) as stream:
        stream.write(page.encode())


def encode(net: MLP, name: str, notes: Any = None) -> bytes:  # noqa: ARG001  (a page is titled by what the network is for)
    """The page of a network, without examples."""
    return render(describe(net)).encode()


def answer(content: bytes, net: MLP, samples: Samples) -> Answers:  # noqa: ARG001  (only a browser runs a page)
    """That a page, read back, holds the network's parameters, weights to half a step of their 8 bits."""
    found = re.search(r'<script type="application/json" id="description">(.*?)</script>', content.decode(), re.DOTALL)
    if found is None:
        raise ValueError("not written: read back, the page holds no network")
    for layer, described in zip(net.layers, json.loads(found[1])["layers"], strict=True):
        if "W" in described:
            W, b = decoded_matrix(described["W"]), np.frombuffer(base64.b64decode(described["b"]), "<f4")
            step = np.abs(layer.W).max(axis=1, keepdims=True) / 127
            if not (np.array_equal(b, layer.b.astype("<f4")) and (np.abs(W - layer.W) <= 0.51 * step + 1e-6 * np.abs(W)).all()):
                raise ValueError(f"not written: read back, {layer!r} has other weights")
    return Answers(None, None, "a browser runs the page")


def decoded_matrix(described: Mapping[str, Any]) -> Array:
    """A matrix from what `_matrix` made of it."""
    dtype = "i1" if "scales" in described else "<f4"
    W = np.frombuffer(base64.b64decode(described["values"]), dtype).reshape(described["rows"], described["columns"])
    return W * np.frombuffer(base64.b64decode(described["scales"]), "<f4")[:, None] if "scales" in described else W


def render(description: Mapping[str, Any]) -> str:
    """The page that shows what is described."""
    place = resources.files(__package__) / "html"
    text = json.dumps(description, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    parts = {
        "style": (place / "style.css").read_text(encoding="utf-8"),
        "script": "\n".join((place / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "description": text.replace("<", "\\u003c"),  # no name in it can end the element that it is in
    }
    page = (place / "page.html").read_text(encoding="utf-8")
    page = page.replace("<title>A neural network", f"<title>{html.escape(description['title'])}")
    for name, part in parts.items():
        before, after = page.split(f"{{{{{name}}}}}")
        page = before + part + after
    return page


def describe(net: MLP, test: Examples | None = None) -> dict[str, Any]:
    """What the page's scripts read, as JSON holds it; arrays are in base64."""
    _check(net, test)
    inputs, answer = input_of(net, test), answer_of(net, test)
    examples = None if test is None or len(test) == 0 else examples_of(net, test, inputs, answer)
    *parts, last = [f"{net.sizes[0]:,} inputs", *map(_counted, net.layers)]
    about = f"A network of {', '.join(parts)} and {last}: {net.theta.size:,} parameters"
    if test is not None and examples is not None and examples["right"] is not None:
        about += f", right on {100 * examples['right'] / len(test):.2f}\N{NO-BREAK SPACE}% of {len(test):,} test examples"
    return {
        "title": _title(inputs, answer, test),
        "about": f"{about}.",
        "made": f"Made by mlp {mlp.__version__}. The network is in this page and runs here: what you enter stays with you.",
        "input": inputs,
        "answer": answer,
        "layers": [_describe_layer(layer, net.theta.size <= IN_FULL) for layer in net.layers],
        "examples": examples,
    }


def _check(net: Any, test: Any) -> None:
    """Refuse what the page can't show."""
    check_network("net", net)
    known = {type(activation): activation for activation in ACTIVATIONS.values()}
    for number in range(len(net.layers)):
        try:
            look_up(net, number, KINDS, known, "a page")
        except ValueError as error:
            raise NoPage(str(error)) from None
    products = sum(layer.multiply_adds for layer in net.layers)
    for what, count, most in (("parameters", net.theta.size, MOST_PARAMETERS), ("products", products, MOST_PRODUCTS)):
        if count > most:
            raise NoPage(f"net: received a network of {count:,} {what}, but a page takes {most:,} at most")
    if not np.isfinite(net.theta).all():
        raise NoPage("net: received parameters that aren't finite, but a page needs finite ones")
    if test is not None and not isinstance(test, Examples):
        raise TypeError(f"test: received {shown(test)}, but it must be Examples or None")
    if test is not None and test.X.shape[1] != net.sizes[0]:
        raise ValueError(f"test: received {test.X.shape[1]:,} features, but the network has {net.sizes[0]:,} inputs")


def _title(inputs: Mapping[str, Any], answer: Mapping[str, Any], test: Examples | None) -> str:
    if inputs["shape"] is None:
        return f"{test.name}: fill in the form" if test is not None and test.name else "Fill in the form"
    digits = answer["kind"] == "classes" and answer["names"] == [str(digit) for digit in range(10)]
    return "Draw a digit" if digits else "Draw a picture"


def _counted(layer: Layer) -> str:
    """A layer as a sentence has it: "256 relu units", "8 maps of 24 × 24"."""
    if layer.kind != "dense":
        rows, columns, maps = layer.out_shape
        return f"{maps:,} maps of {rows} × {columns}"
    name = "" if layer.activation.name == "identity" else f"{layer.activation.name} "
    return f"{layer.units:,} {name}{'unit' if layer.units == 1 else 'units'}"


def _describe_layer(layer: Any, in_full: bool) -> dict[str, Any]:
    """A layer as network.js takes it."""
    described = {"kind": layer.kind, "fan_in": layer.fan_in, "units": layer.units, "activation": layer.activation.name}
    if layer.kind != "dense":
        places = layer.windows
        described |= {
            "in_shape": list(layer.in_shape),
            "out_shape": list(layer.out_shape),
            "window": list(places.size),
            "stride": list(places.stride),
            "padding": [zeros[0] for zeros in places.padding],
        }
    if layer.parameters():
        described |= {"W": _matrix(layer.W, in_full), "b": encoded(layer.b, "<f4")}
    return described


def _matrix(W: Array, in_full: bool) -> dict[str, Any]:
    """A matrix in base64: in 32 bits, or in 8, −127 … 127, with a scale for each row."""
    rows, columns = W.shape
    if in_full:
        return {"rows": rows, "columns": columns, "values": encoded(W, "<f4")}
    largest = np.abs(W).max(axis=1, initial=0, keepdims=True).astype(np.float64)  # (rows, 1)
    scales = np.where(largest > 0, largest / 127, 1)
    return {"rows": rows, "columns": columns, "values": encoded(np.rint(W / scales), "i1"), "scales": encoded(scales, "<f4")}
