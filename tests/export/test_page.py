"""The page in a browser, against numpy: what it computes, reads off its paper, and shows; and what is refused.

The expected outputs are `MLP.forward`'s, the gradients differences of them, and MNIST's images those of its files.
"""

import base64
import importlib.util
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import mlp
from mlp.export import page

# tests are no package (--import-mode=importlib), so what is beside them is imported by its path
_spec = importlib.util.spec_from_file_location("browser", Path(__file__).parent / "browser.py")
browser = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(browser)

needs_chromium = pytest.mark.skipif(
    browser.CHROMIUM is None, reason="there is no chromium on the path, in which pages are tried (Debian's package: chromium)"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def ask(chromium):
    """What a script (the body of an async function) returns in a page; `given` is what is given."""

    def run(path, script, given=None, width=1280):
        chromium.open(path, width)
        return chromium.run(script, given)

    return run


#: The images that are given, as bytes.
INPUTS = "const inputs = bytesOf(given.images), size = given.size, count = inputs.length / size;"


def described(path):
    """The description that a page holds."""
    (text,) = re.findall(r'<script type="application/json" id="description">(.*?)</script>', path.read_text(encoding="utf-8"))
    return json.loads(text)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A network of 784-256-10 after two epochs on 20,000 images, the test set, and the page of both."""
    training, _, test = mlp.load_mnist(validation=40_000)
    net = mlp.MLP([784, 256, 10], seed=0)
    mlp.sgd(mlp.Objective(net, training.X, training.y), net.theta, learning_rate=0.2, batch_size=128, epochs=2, seed=0)
    path = tmp_path_factory.mktemp("digits") / "network.html"
    page.write(path, net, test)
    return SimpleNamespace(net=net, test=test, path=path)


def images(X):
    return {"images": base64.b64encode(X.tobytes()).decode(), "size": X.shape[1]}


# What it computes


@needs_chromium
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_labels_of_test_images_are_the_networks(ask, digits, count):
    X = digits.test.X[:count]
    script = (
        INPUTS
        + """
    const labels = [];
    for (let n = 0; n < count; n++) {
      const { a } = network.forward(Float64Array.from(inputs.subarray(n * size, (n + 1) * size), (value) => value / 255));
      labels.push(network.label(a[a.length - 1]));
    }
    return labels;"""
    )
    labels = np.array(ask(digits.path, script, images(X)))
    assert len(labels) == count
    assert np.mean(labels != digits.net.predict(X)) <= 0.001  # by weights of 8 bits


@needs_chromium
@pytest.mark.parametrize(("scale", "left", "top"), [(10, 0, 0), (7, 53, 12)])
def test_images_drawn_on_the_paper_are_read_as_they_were(ask, digits, scale, left, top):
    X, y = digits.test.X[:200], digits.test.y[:200]
    script = (
        INPUTS
        + f"""
    const labels = [], differences = [];
    for (let n = 0; n < count; n++) {{
      const values = Float64Array.from(inputs.subarray(n * size, (n + 1) * size), (value) => value / 255);
      const {{ context, canvas }} = paper;
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = false;
      context.drawImage(canvasOf({{ height: 28, width: 28, channels: 1, values }}), {left}, {top}, 28 * {scale}, 28 * {scale});
      const seen = centre(readCanvas(canvas, 1), 28, 28).values;
      const {{ a }} = network.forward(seen);
      labels.push(network.label(a[a.length - 1]));
      differences.push(seen.reduce((sum, ink, i) => sum + Math.abs(ink - values[i]), 0) / size);
    }}
    return {{ labels, differences }};"""
    )
    found = ask(digits.path, script, images(X))
    right = np.mean(digits.net.predict(X) == y)
    assert np.mean(np.array(found["labels"]) == y) > right - 0.005
    assert np.median(found["differences"]) < 0.002  # of 0 … 1: MNIST's own centring is repeated


def gradient_by_differences(net, x, unit):
    """∂z/∂x of an output whose activation is the identity, by central differences."""
    step = 1e-5
    moved = np.repeat(x[None], 2 * x.size, axis=0) + np.concatenate([step * np.eye(x.size), -step * np.eye(x.size)])
    z = net.forward(moved)[:, unit]
    return (z[: x.size] - z[x.size :]) / (2 * step)


LAYERS = {
    **{name: [6, mlp.Dense(6, 5, name), 3] for name in ("identity", "relu", "softplus", "threshold", "logistic", "tanh")},
    "convolution": [(8, 9), mlp.Conv(3, (3, 2), "tanh", stride=(1, 2), padding=1), mlp.Conv(4, 3, "relu", padding="same"), 3],
    "pools": [(9, 8, 3), mlp.Conv(2, 2, "softplus"), mlp.MaxPool(3, stride=2), mlp.MeanPool((2, 1), stride=1), 3],
    "same, by steps of 2": [(7, 7), mlp.Conv(2, 4, "tanh", stride=2, padding="same"), 3],
    **{output: [6, 5, 3] for output in ("softmax", "logistic output", "tanh output")},
}


@pytest.fixture(scope="module")
def computed(chromium, digits):
    """By name: a network, its inputs X, and what the page's scripts make of them."""
    rng = np.random.default_rng(3)
    networks = {}
    for name, layers in LAYERS.items():
        output = name.split()[0] if name == "softmax" or "output" in name else "identity"
        net = mlp.MLP(layers, output=output, dtype="float64", seed=2)
        net.theta += 0.1 * rng.standard_normal(net.theta.size)
        networks[name] = net, (30 if output == "softmax" else 1) * rng.standard_normal((5, net.sizes[0]))
    script = """
    return given.map(({ description, X }) => {
      const other = new Network(description);
      const last = other.layers.length - 1;
      return X.map((x) => {
        const pass = other.forward(x);
        return { outputs: [...pass.a[last]], gradient: [...other.gradient(pass, last, 1)] };
      });
    });"""
    given = [{"description": page.describe(net), "X": X.tolist()} for net, X in networks.values()]
    chromium.open(digits.path)
    found = chromium.run(script, given)
    return {name: (*networks[name], one) for name, one in zip(networks, found, strict=True)}


@needs_chromium
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_and_gradients_are_the_networks(computed, name):
    net, X, found = computed[name]
    np.testing.assert_allclose([one["outputs"] for one in found], net.forward(X), rtol=1e-5, atol=1e-5)
    if net.output.name == "identity":
        expected = [gradient_by_differences(net, x, 1) for x in X]
        np.testing.assert_allclose([one["gradient"] for one in found], expected, rtol=1e-4, atol=1e-5)


# What one does with it

POINTER = """
const box = paper.canvas.getBoundingClientRect();
const send = (name, x, y, pointerId = 1) => paper.canvas.dispatchEvent(new PointerEvent(name, {
  bubbles: true, cancelable: true, pointerId, pointerType: "touch", button: 0,
  clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
const ink = () => readCanvas(paper.canvas, 1).values.reduce((sum, value) => sum + value, 0) / paper.pen;
const at = (x, y) => readCanvas(paper.canvas, 1).values[Math.floor(y * 280) * 280 + Math.floor(x * 280)];
"""


@needs_chromium
def test_strokes_are_lines_between_the_points_and_can_be_undone_and_cleared(ask, digits):
    script = (
        POINTER
        + """
    const seen = [];
    send("pointerdown", 0.5, 0.1);                 // the example makes room
    send("pointermove", 0.5, 0.5);
    send("pointermove", 0.9, 0.9, 2);              // another finger
    send("pointermove", 0.5, 0.9);
    send("pointerup", 0.5, 0.9);
    send("pointermove", 0.9, 0.9);                 // no button is down
    seen.push(ink(), at(0.5, 0.3), at(0.5, 0.7), at(0.8, 0.8), byId("verdict").textContent);
    send("pointerdown", 0.2, 0.2); send("pointerup", 0.2, 0.2);
    seen.push(at(0.2, 0.2));
    byId("undo").click();
    seen.push(at(0.2, 0.2), at(0.5, 0.3));
    byId("clear").click();
    seen.push(ink(), byId("verdict").textContent);
    return [...seen, getComputedStyle(paper.canvas).touchAction];"""
    )
    length, upper, lower, beside, verdict, dot, undone, kept, cleared, nothing, touch = ask(digits.path, script)
    assert length == pytest.approx(0.8 * 280 + 280 / 12 * np.pi / 4, rel=0.02)  # a line with round ends, by its width
    assert (upper, lower, beside) == (1, 1, 0)
    assert re.fullmatch(r"\d>?\d+\.\d % sure", verdict)
    assert (dot, undone, kept) == (1, 0, 1)
    assert (cleared, nothing) == (0, "Nothing is drawn yet.")
    assert touch == "none"


@needs_chromium
def test_photograph_of_dark_ink_on_grey_paper_becomes_ink(ask, digits):
    script = """
    const photograph = Object.assign(document.createElement("canvas"), { width: 400, height: 300 });
    const context = photograph.getContext("2d");
    Object.assign(context, { fillStyle: "#c8c8c8" }); context.fillRect(0, 0, 400, 300);
    Object.assign(context, { fillStyle: "#bbbbbb" }); context.fillRect(0, 0, 150, 300);   // a shadow
    Object.assign(context, { fillStyle: "#202030" }); context.fillRect(180, 60, 40, 180); // ink
    const file = await new Promise((done) => photograph.toBlob(done));
    await paper.open(new File([file], "one.png", { type: "image/png" }));
    return [...readPaper().values];"""
    seen = np.array(ask(digits.path, script)).reshape(28, 28)
    rows, columns = np.nonzero(seen > 0.5)
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 in (4, 5)  # 20 · 40/180
    for axis in (0, 1):
        assert 13.4 < np.average(np.arange(28), weights=seen.sum(axis=1 - axis)) < 14.6  # in the middle
    assert seen[:3].max() == seen[:, :10].max() == 0  # the shadow is paper


@needs_chromium
def test_the_page_shows_the_answer_and_what_it_comes_of(ask, digits):
    script = """
    const wrong = [...byId("wrong-ones").querySelectorAll("button")], shown = [];
    for (const button of wrong) { button.click(); shown.push([button.title, byId("verdict").firstChild.textContent]); }
    byId("bars").children[3].click();
    const first = work.views[0].canvas;
    first.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    return { shown, caption: byId("gradient-caption").textContent, unit: byId("unit").textContent,
      strongest: byId("strongest").children.length, bars: byId("bars").children.length,
      fits: document.documentElement.scrollWidth };"""
    found = ask(digits.path, script, width=500)
    assert len(found["shown"]) == 10
    assert all(f"taken for {answer}" in title for title, answer in found["shown"])
    assert found["caption"] == "What would make it more of a 3"
    assert found["unit"].count("Unit 2 of layer 1") == 1
    assert (found["strongest"], found["bars"]) == (8, 10)
    assert found["fits"] <= 500  # nothing sticks out on a phone


@needs_chromium
def test_table_is_a_form(ask, tmp_path):
    X = np.array([[1.0, -5.0], [3.0, 5.0], [2.0, 1.0]], "float32")
    net = mlp.MLP([2, 2], output="softmax", dtype="float64", seed=0)
    net.layers[0].W[...] = [[1, 0], [0, 1]]  # the class is the larger input's
    page.write(tmp_path / "network.html", net, mlp.Examples(X, np.array([0, 1, 1]), classes=("</script>left", "right")))
    script = """
    const [first, second] = document.querySelectorAll("#form input[type=number]");
    const verdict = () => byId("verdict").firstChild.textContent, seen = [];
    for (const [a, b] of [["1", "2"], ["2.5", "1"]]) {
      [first.value, second.value] = [a, b];
      first.dispatchEvent(new Event("input", { bubbles: true }));
      seen.push(verdict());
    }
    byId("wrong-ones").querySelector("button").click();
    seen.push(first.value, second.value, verdict());
    first.value = ""; first.dispatchEvent(new Event("input", { bubbles: true }));
    const sliders = [...document.querySelectorAll("input[type=range]")];
    return [...seen, verdict(), sliders.map(({ min, max }) => [min, max])];"""
    found = ask(tmp_path / "network.html", script)
    assert found[:5] == ["right", "</script>left", "2", "1", "</script>left"]
    assert found[5:] == ["Some field holds no number.", [["1", "3"], ["-5", "5"]]]


@pytest.fixture
def table(tmp_path):
    """A function (target) that gives prepared examples of a table of 30 rows, and the raw columns."""
    rng = np.random.default_rng(6)
    columns = {
        "size": np.round(rng.uniform(10, 90, 30), 2),
        "colour": rng.choice(["red", "green", "blue"], 30),
        "weight": np.round(rng.uniform(-1, 1, 30), 3),
        "kind": rng.choice(["small one", "large one"], 30),
    }
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")

    def read(target):
        (data,) = mlp.prepare(mlp.read_table(tmp_path / "table.csv", target=target), scaling="standard")
        net = mlp.MLP([data.X.shape[1], 7, 2 if target == "kind" else 1], hidden="tanh", dtype="float64", seed=7,
                      output="softmax" if target == "kind" else "identity")  # fmt: skip
        net.preparation = data.preparation
        return net, data, {name: values for name, values in columns.items() if name != target}

    return read


FILL_IN = """
return given.rows.map((row) => {
  row.forEach((value, i) => {
    const field = form.fields[i];
    field.value = form.columns[i].values ? form.columns[i].values.indexOf(value) : value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return [byId("verdict").textContent, [...latest.a[latest.a.length - 1]]];
});"""


@needs_chromium
@pytest.mark.parametrize("target", ["kind", "weight"])
def test_form_prepares_what_is_filled_in_as_the_network_does(ask, table, target, tmp_path):
    net, data, columns = table(target)
    page.write(tmp_path / "network.html", net, data)
    rows = [[value.item() for value in row] for row in zip(*columns.values(), strict=True)]
    found = ask(tmp_path / "network.html", FILL_IN, {"rows": rows})
    np.testing.assert_allclose([outputs for _, outputs in found], net.forward(data.X), atol=1e-5)
    predicted = net.predict(columns)
    if target == "kind":
        assert all(words.startswith(str(name)) for (words, _), name in zip(found, predicted, strict=True))
    else:
        told = [float(words.removeprefix("weight: ").replace("−", "-")) for words, _ in found]
        np.testing.assert_allclose(told, predicted, rtol=0.006)  # in three digits


@needs_chromium
def test_image_scaled_otherwise_and_reproduced(ask, tmp_path):
    net = mlp.MLP([(8, 8), 64], output="identity", dtype="float64", seed=0)  # what comes out is what went in
    net.layers[0].W[...] = np.eye(64)
    X = np.linspace(-1, 3, 64, dtype="float32")[None]
    page.write(tmp_path / "network.html", net, mlp.Examples(X, np.zeros(1)))
    script = "return [...latest.x, ...readCanvas(byId('output'), 1).values, paper.canvas.width];"
    found = np.array(ask(tmp_path / "network.html", script))
    np.testing.assert_allclose(found[:64], X[0], atol=4 / 255)
    np.testing.assert_allclose(found[64:128], np.arange(64) / 63, atol=2 / 255)
    assert found[128] == 280  # 35 pixels for each


# The file


def test_page_of_784_256_10_is_one_small_file_that_fetches_nothing(digits):
    text = digits.path.read_text(encoding="utf-8")
    assert digits.path.stat().st_size < 400_000
    assert re.findall(r"https?:|<link|\bsrc=|@import|url\(", text) == []
    assert "default-src 'none'" in text


def test_description_tells_how_many_are_right_and_shows_right_and_wrong_ones(digits):
    found = described(digits.path)
    right = digits.net.predict(digits.test.X) == digits.test.y
    assert f"right on {100 * right.mean():.2f}\N{NO-BREAK SPACE}% of 10,000" in found["about"]
    labels, answers = (np.array(found["examples"][name]) for name in ("labels", "answers"))
    assert labels[:10].tolist() == answers[:10].tolist() == list(range(10))
    assert (labels[10:] != answers[10:]).all()
    first = np.frombuffer(base64.b64decode(found["examples"]["X"])[:784], np.uint8)
    np.testing.assert_array_equal(first, digits.test.X[right & (digits.test.y == 0)][0])


def test_images_are_centred_where_the_test_set_is(digits, tmp_path):
    shifted = mlp.Examples(np.full((20, 784), 255, np.uint8), np.zeros(20, int))
    shifted.X[:, 5] = 0
    page.write(tmp_path / "filled.html", digits.net, shifted)
    assert described(digits.path)["input"]["centred"] is True
    assert described(tmp_path / "filled.html")["input"]["centred"] is False


class Cube:
    name = "cube"

    def value(self, z):
        return z**3

    def derivative(self, z):
        return 3 * z**2


class Own(mlp.Dense):
    """A layer of one's own."""


def large(sizes):
    return mlp.MLP(sizes, init=lambda n_in, n_out, _rng: np.zeros((n_out, n_in)))


def infinite():
    net = mlp.MLP([2, 2], seed=0)
    net.theta[1] = np.inf
    return net


REFUSED = {
    "own activation": (lambda: mlp.MLP([2, 3, 2], hidden=Cube(), seed=0), None, "'cube'"),
    "own layer": (lambda: mlp.MLP([2, Own(2, 2), 2], seed=0), None, "Own"),
    "parameters": (lambda: large([2000, 2001, 2]), None, "4,008,005 parameters"),
    "products": (lambda: large([(200, 200), mlp.Conv(100, 9, padding="same"), mlp.MaxPool(100), 2]), None, "products"),
    "infinity": (infinite, None, "finite"),
    "form": (lambda: mlp.MLP([201, 2], seed=0), None, "201 inputs"),
    "channels": (lambda: mlp.MLP([(4, 4, 2), mlp.Conv(2, 3), 2], seed=0), None, "2 channels"),
    "features": (lambda: mlp.MLP([2, 2], seed=0), mlp.Examples(np.zeros((1, 3)), np.zeros(1, int)), "3 features"),
    "labels": (lambda: mlp.MLP([2, 2], seed=0), mlp.Examples(np.zeros((1, 2)), np.array([2])), "2 classes"),
    "no examples": (lambda: mlp.MLP([2, 2], seed=0), [1], "Examples"),
    "no network": (lambda: "net", None, "MLP"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_page_cannot_show_is_refused_and_the_file_left_as_it_was(case, tmp_path, refused):
    make, test, told = REFUSED[case]
    path = tmp_path / "network.html"
    path.write_text("before")
    with refused((TypeError, ValueError), "test" if test is not None else "net", told):
        page.write(path, make(), test)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["network.html"]
