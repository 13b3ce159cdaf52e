"""Networks as a C99 header for small processors: `encode` writes model.h, `answer` compiles and runs it.

It needs nothing but <math.h> and allocates nothing. With the file's name for a prefix, "model" here, it holds

    MODEL_INPUTS, MODEL_OUTPUTS, model_input    how many numbers come in and go out, and the type of those that come in
    void model_forward(const model_input *x, float *outputs)
    long model_predict(const model_input *x)    the class, where there are classes, by its number;
    const char *model_name(long label)          and its name, where it has one

x is what `MLP.forward` takes: floats, pixels from 0 to 1, an image row by row, channels last. With a preparation, which is
done inside, x is raw data: unsigned char, of 8-bit pixels; or a table's columns, where a category is the number of its value,
counted from 0 in the order that the file's first comment gives. Outputs that are numbers are in the target's own units.

The buffers in between are static: two threads must not call one model at the same time. All arithmetic is in float but the
scaling of columns.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mlp
from mlp import activations as σ
from mlp.activations import Activation
from mlp.blas import Array
from mlp.checks import converted
from mlp.data.preparation import Preparation
from mlp.export import c_functions as functions
from mlp.export.agreement import Answers
from mlp.export.parts import look_up, preparation_of
from mlp.export.samples import Samples, class_names, has_classes, takes_8_bit, takes_pixels
from mlp.network import MLP

# Layers and activations


@dataclass(frozen=True)
class Routine:
    """A function of C: its name, its source, and what a layer or an activation hands it between input and output."""

    name: str
    source: str
    arguments: Callable[[Any], list[Any]] = lambda _: []


def _conv(layer: Any) -> list[Any]:
    of = layer.windows
    return [*of.image, *of.places, layer.maps, *of.size, *of.stride, of.padding[0][0], of.padding[1][0]]


def _pool(layer: Any) -> list[Any]:
    of = layer.windows
    return [*of.image[1:], *of.places, *of.size, *of.stride]


#: How a kind of layer is computed, up to its Z. A function takes the input, the parameters, the arguments and the output.
LAYERS = {
    "dense": Routine("dense", functions.DENSE, lambda layer: [layer.fan_in, layer.units]),
    "conv": Routine("conv", functions.CONV, _conv),
    "maxpool": Routine("maxpool", functions.MAXPOOL, _pool),
    "meanpool": Routine("meanpool", functions.MEANPOOL, _pool),
}

#: How a class of activations is computed, in place; identity needs nothing.
ACTIVATIONS: dict[type[Activation], Routine] = {
    σ.Identity: Routine("", ""),
    σ.ReLU: Routine("relu", functions.elementwise("relu", "fmaxf(z, 0.0f)")),
    σ.Softplus: Routine("softplus", functions.elementwise("softplus", "fmaxf(z, 0.0f) + log1pf(expf(-fabsf(z)))")),
    σ.Threshold: Routine("threshold", functions.elementwise("threshold", "z > 0.0f ? 1.0f : 0.0f")),
    σ.Logistic: Routine("logistic", functions.elementwise("logistic", "0.5f * tanhf(0.5f * z) + 0.5f")),
    σ.Tanh: Routine("tanh", functions.elementwise("tanh", "tanhf(z)")),
    σ.Softmax: Routine("softmax", functions.SOFTMAX),
    σ.LeakyReLU: Routine(
        "leaky_relu", functions.elementwise("leaky_relu", "z > 0.0f ? z : slope * z", "slope"), lambda σ: [_show(σ.slope)]
    ),
    σ.ELU: Routine(
        "elu", functions.elementwise("elu", "z > 0.0f ? z : alpha * expm1f(z)", "alpha"), lambda σ: [_show(σ.alpha)]
    ),
    σ.GELU: Routine("gelu", functions.elementwise("gelu", "0.5f * z * erfcf(-0.70710678f * z)")),
    σ.SiLU: Routine("silu", functions.elementwise("silu", "z / (1.0f + expf(-z))")),
    σ.Exponential: Routine("exponential", functions.elementwise("exponential", "expf(z)")),
}


# Writing


def encode(net: MLP, name: str, notes: Any = None) -> bytes:  # noqa: ARG001  (a header has no place for notes)
    """The network as C; ValueError names a layer or activation that it can't express."""
    if not np.isfinite(net.theta).all():
        raise ValueError("net: has parameters that are not finite, which C has no numbers for")
    prefix, preparation = identifier(name), preparation_of(net)
    used = [look_up(net, number, LAYERS, ACTIVATIONS, "C") for number in range(len(net.layers))]
    parts = [
        "#ifndef @_H\n#define @_H\n\n#include <math.h>\n",
        f"#define @_INPUTS {_count_inputs(net, preparation)}\n#define @_OUTPUTS {net.sizes[-1]}\n"
        f"typedef {'unsigned char' if preparation is not None and takes_8_bit(preparation) else 'float'} @_input;\n",
        *(f"static const float @_{name}[] = {{\n{_show(numbers)}\n}};\n" for name, numbers in _parameters(net)),
        *filter(None, dict.fromkeys(routine.source for pair in used for routine in pair)),
        *_prepare(preparation),
        _forward(net, preparation, used),
        *([functions.PREDICT] if has_classes(net, preparation) else []),
        *_name_classes(class_names(preparation, net.sizes[-1])),
        "#endif\n",
    ]
    return (_describe(net, preparation) + _with_prefix("\n".join(parts), prefix)).encode()


def identifier(name: str) -> str:
    """What the functions of a file of that name are called: the name as C can have it, "model" before a digit."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"model_{plain}".rstrip("_")


def _with_prefix(source: str, prefix: str) -> str:
    """C with the model's prefix for @, in capitals before what is in capitals."""
    return re.sub(r"@(?=_[A-Z]+\b)", prefix.upper(), source).replace("@", prefix)


def _describe(net: MLP, preparation: Preparation | None) -> str:
    """The comment at the head of the file."""
    lines = [f"Written by mlp {mlp.__version__}: {net!r}"]
    if preparation is not None and not takes_pixels(preparation):
        for number, column in enumerate(preparation.columns):
            values = "".join(f", {at}: {value}" for at, value in enumerate(column.values))
            lines.append(f"x[{number}]: {column.name}{values}")
    return "/* " + "\n * ".join(" ".join(line.split()).replace("*/", "* /") for line in lines) + "\n */\n"


def _count_inputs(net: MLP, preparation: Preparation | None) -> int:
    return net.sizes[0] if preparation is None or takes_pixels(preparation) else len(preparation.columns)


def _parameters(net: MLP) -> Iterator[tuple[str, Array]]:
    """The parameters by their names in C, W1, b1, …, each a vector of float32."""
    for number, layer in enumerate(net.layers, 1):
        for name, parameter in layer.parameters().items():
            yield f"{name}{number}", converted("net", parameter, np.float32).ravel()


def _show(numbers: Any) -> str:
    """Numbers of float32 as C reads exactly them again, ten a line."""
    texts = [f"{text}f" for text in np.asarray(numbers, np.float32).ravel().astype(np.str_).tolist()]
    return ",\n".join(", ".join(texts[start : start + 10]) for start in range(0, len(texts), 10))


def _prepare(preparation: Preparation | None) -> list[str]:
    """What makes the network's inputs of raw data."""
    if preparation is None:
        return []
    if takes_8_bit(preparation):
        return [functions.PIXELS]
    widths = [len(column.values) if column.kind == "categorical" else 0 for column in preparation.columns]
    pairs = [column.offset_and_factor(preparation.scaling) for column in preparation.columns]
    source = functions.COLUMNS.replace("WIDTHS", ", ".join(map(str, widths)))
    source = source.replace("OFFSETS", ", ".join(repr(float(offset)) for offset, _ in pairs))
    source = source.replace("FACTORS", ", ".join(repr(float(factor)) for _, factor in pairs))
    return [source.replace(" INDEX", " * 0" if takes_pixels(preparation) else "")]


def _forward(net: MLP, preparation: Preparation | None, used: list[tuple[Routine, Routine]]) -> str:
    """The forward pass: layer by layer from buffer to buffer, and back; the last into the outputs."""
    widths = net.sizes[:-1] if preparation is not None else [0, *net.sizes[1:-1]]
    rooms = [max(widths[start::2], default=0) for start in (0, 1)]
    lines = [f"static float {name}[{room}];" for name, room in zip("ab", rooms, strict=True) if room]
    source = "x"
    if preparation is not None:
        lines.append("@_prepare(x, a);")
        source = "a"
    for number, (layer, (compute, activate)) in enumerate(zip(net.layers, used, strict=True), 1):
        target = "outputs" if number == len(net.layers) else "ab"[number % 2]
        parameters = [f"@_{name}{number}" for name in layer.parameters()]
        lines.append(f"@_{compute.name}({', '.join([source, *parameters, *map(str, compute.arguments(layer)), target])});")
        if activate.name:
            extra = [str(value) for value in activate.arguments(layer.activation)]
            lines.append(f"@_{activate.name}({', '.join([target, str(layer.units), *extra])});")
        source = target
    offset, factor = (0.0, 1.0) if preparation is None else preparation.target_offset_and_factor
    if (offset, factor) != (0, 1):
        lines.append(
            f"for (long j = 0; j < @_OUTPUTS; j++)\n        outputs[j] = (float)(outputs[j] * {factor!r} + {offset!r});"
        )
    body = "".join(f"    {line}\n" for line in lines)
    return f"static inline void @_forward(const @_input *x, float *outputs)\n{{\n{body}}}\n"


def _name_classes(names: Array | None) -> list[str]:
    """What gives a class's name."""
    if names is None:
        return []
    texts = ", ".join(_quote(str(name)) for name in names.tolist())
    return [
        "static inline const char *@_name(long label)\n{\n"
        f"    static const char *const names[] = {{{texts}}};\n    return names[label];\n}}\n"
    ]


def _quote(text: str) -> str:
    """A text as C spells it: letters and digits as they are, each other byte of its UTF-8 as three octal digits."""
    return '"' + "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03o}" for byte in text.encode()) + '"'


# Reading back


def answer(content: bytes, net: MLP, samples: Samples) -> Answers:
    """What a header makes of examples, once it is compiled; without a compiler, its numbers are compared with the network's."""
    text = content.decode()
    prefix = re.findall(r"^#ifndef (\w+)_H$", text, re.MULTILINE)[0].lower()
    for name, numbers in _parameters(net):
        found = re.search(rf"^static const float {prefix}_{name}\[\] = {{([^}}]*)}};", text, re.MULTILINE)
        if found is None or not np.array_equal(np.array(found[1].replace("f", "").split(","), np.float32), numbers):
            raise ValueError(f"net: not written: read back, {name} is not the same")
    compiler = find_compiler()
    if compiler is None:
        return Answers(None, None, "there is no C compiler here")
    classes = has_classes(net, preparation_of(net))
    raw = samples.raw if samples.raw.dtype == np.uint8 else samples.raw.astype(np.float32)
    try:
        given = _run(compiler, content, prefix, classes, raw)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        return Answers(None, None, f"{compiler} failed: {said.decode(errors='replace').strip()[:200]}")
    given = given.reshape(len(raw), -1)
    return Answers(given[:, :-1], given[:, -1].astype(np.intp) if classes else None, Path(compiler).name)


def find_compiler() -> str | None:
    """The C compiler's path, if there is one."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _run(compiler: str, content: bytes, prefix: str, classes: bool, raw: Array) -> Array:
    """What a program with that header puts out for raw data (n, inputs): for each example the outputs, and the class or 0."""
    program = functions.PROGRAM.replace("LABEL", "@_predict(x)" if classes else "0")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "model.h").write_bytes(content)
        (directory / "program.c").write_text(_with_prefix(program, prefix), encoding="utf-8")
        call = [compiler, "-std=c99", "-O1", "-o", "program", "program.c", "-lm"]
        subprocess.run(call, cwd=directory, check=True, capture_output=True)
        ran = subprocess.run([directory / "program"], input=raw.tobytes(), check=True, capture_output=True)
    return np.frombuffer(ran.stdout, np.float32)
