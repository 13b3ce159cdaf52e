"""Distortions against SciPy's filters and interpolation and against formulas written out pixel by pixel; what they refuse."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import scipy.ndimage
from numpy.testing import assert_allclose, assert_array_equal

from mlp import Affine, Distortion, Elastic
from mlp.data.distortions import parse

SHAPES = [(28, 28), (5, 7), (8, 3), (1, 9), (6, 1), (1, 1)]
NOTHING = Affine(rotation=0, scaling=0)


def generator(seed=0):
    return np.random.default_rng(seed)


def images(n, shape, dtype, seed=7):
    rng = generator(seed)
    if np.dtype(dtype).kind == "u":
        return rng.integers(0, 256, (n, math.prod(shape)), dtype=dtype)
    return rng.standard_normal((n, math.prod(shape))).astype(dtype)


def displacements(rng, shape, n):
    """u (rows, 2, n, columns) as `places` draws it: 16 bits a number, (k + ½)/32768 for k from −32768 to 32767."""
    size = 2 * n * math.prod(shape)
    words = rng.integers(0, 2**64, math.ceil(size / 4), dtype=np.uint64)
    k = np.frombuffer(words.tobytes(), np.int16)[:size].astype(float)
    return ((k + 0.5) / 32768).reshape(shape[0], 2, n, shape[1])


def pixels(shape, n):
    """(rows, 2, n, columns): each pixel's own row and column."""
    row, column = np.mgrid[: shape[0], : shape[1]]
    return np.broadcast_to(np.stack([row, column], 1)[:, :, None], (shape[0], 2, n, shape[1]))


def looked_up(X, q, shape):
    """SciPy's bilinear interpolation of the images at the places q, in float64."""
    return np.stack(
        [
            scipy.ndimage.map_coordinates(
                image.reshape(shape).astype(float),
                q[:, :, i].transpose(1, 0, 2).astype(float),
                order=1,
                mode="constant",
                cval=0,
            ).ravel()
            for i, image in enumerate(X)
        ]
    )


def with_margin(X, shape, width=3):
    """The images in frames of zeros: SciPy lets them fade out in the frame, as an image that is 0 beyond its edge does."""
    framed = np.pad(X.reshape(-1, *shape), ((0, 0), (width, width), (width, width)))
    return framed.reshape(len(X), -1), (shape[0] + 2 * width, shape[1] + 2 * width)


def expected(X, q, shape):
    """What distorted images should be: SciPy's interpolation of the framed ones at the places moved onto the frame."""
    framed, larger = with_margin(X, shape)
    return looked_up(framed, q + np.float64(3), larger)


# The elastic field


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("sigma", "alpha"), [(6.0, 37.0), (0.3, 2.0), (1.7, 11.5), (40, 500)])
def test_elastic_field_is_scipys_gaussian_filter_of_what_was_drawn(shape, sigma, alpha):
    n = 3
    q = Distortion(Elastic(sigma, alpha), shape=shape).places(n, generator(4))
    assert (q.shape, q.dtype) == ((shape[0], 2, n, shape[1]), np.float32)
    u = displacements(generator(4), shape, n)
    smoothed = scipy.ndimage.gaussian_filter(u, (sigma, 0, 0, sigma), mode="constant", cval=0, truncate=9)
    assert_allclose(q, pixels(shape, n) + alpha * smoothed, atol=2e-6 * alpha + 4e-6)


def test_displacements_are_uniform_and_independent():
    # A Gaussian this narrow smooths nothing, so that q − p is u
    u = Distortion(Elastic(sigma=0.1, alpha=1), shape=(20, 30)).places(150, generator(1)) - pixels((20, 30), 150)
    size = u.size  # 180,000; the mean of uniform numbers has σ = 1/√(3 size), that of u² (2/√45)/√size
    assert -1 <= u.min() < -0.999
    assert 0.999 < u.max() <= 1
    assert abs(u.mean()) < 5 / math.sqrt(3 * size)
    assert abs((u**2).mean() - 1 / 3) < 5 * 0.2981 / math.sqrt(size)
    assert abs(np.histogram(u, 10, (-1, 1))[0] - size / 10).max() < 5 * math.sqrt(size * 0.09)
    for a, b in [(u[1:], u[:-1]), (u[:, 0], u[:, 1]), (u[:, :, 1:], u[:, :, :-1]), (u[..., 1:], u[..., :-1])]:
        assert abs((a * b).mean()) < 5 / 3 / math.sqrt(a.size)


def test_displacements_are_scaled_by_alpha_and_shrink_with_sigma():
    def moved(sigma, alpha):
        return Distortion(Elastic(sigma, alpha), shape=(9, 9)).places(20, generator(3)) - pixels((9, 9), 20)

    assert_allclose(moved(2, 30), 10 * moved(2, 3), atol=1e-4)
    # far from an edge the sum of squares of a Gaussian's values is 1/(4πσ²), that of u² is ⅓
    inner = (Distortion(Elastic(2, 1), shape=(40, 40)).places(60, generator(3)) - pixels((40, 40), 60))[12:-12, ..., 12:-12]
    assert inner.std() == pytest.approx(math.sqrt(1 / 3 / (4 * math.pi * 2**2)), rel=0.05)


# The affine map


def places_by_pixel(affine, n, rng, shape):
    """q = F⁻¹(p − c − t) + c, one pixel at a time, with F⁻¹ as the three inverse maps one after the other."""
    angle = math.radians(affine.rotation) * rng.uniform(-1, 1, n)
    stretch = 1 + affine.scaling * rng.uniform(-1, 1, (n, 2))
    shear = affine.shear * rng.uniform(-1, 1, n)
    shift = affine.shift * rng.uniform(-1, 1, (n, 2))
    rows, columns = shape
    q = np.empty((rows, 2, n, columns))
    for i in range(n):
        cos, sin = math.cos(angle[i]), math.sin(angle[i])
        for row in range(rows):
            for column in range(columns):
                r = row - (rows - 1) / 2 - shift[i, 0]
                c = column - (columns - 1) / 2 - shift[i, 1]
                r, c = cos * r + sin * c, -sin * r + cos * c  # turned back by the angle
                c -= shear[i] * r  # a row r from the centre was pushed shear · r columns on
                r, c = r / stretch[i, 0], c / stretch[i, 1]
                q[row, :, i, column] = r + (rows - 1) / 2, c + (columns - 1) / 2
    return q


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "affine",
    [
        Affine(),
        Affine(rotation=180, scaling=0),
        Affine(rotation=0, scaling=0.9),
        Affine(0, 0, shear=1.5),
        Affine(0, 0, shift=4),
        Affine(rotation=90, scaling=0.5, shear=0.7, shift=3),
    ],
    ids=str,
)
def test_affine_places_are_the_formula(shape, affine):
    n = 3
    q = Distortion(affine=affine, shape=shape).places(n, generator(5))
    one_by_one = places_by_pixel(affine, n, generator(5), shape)
    assert_allclose(q, one_by_one, atol=2e-6 * max(1, np.abs(one_by_one).max()))


def test_elastic_and_affine_displacements_add_up():
    elastic, affine, shape = Elastic(2, 9), Affine(30, 0.3, 0.2, 2), (5, 7)
    q = Distortion(elastic, affine, shape).places(4, generator(2))
    rng = generator(2)
    bent = Distortion(elastic, shape=shape).places(4, rng) - pixels(shape, 4)  # which draws first
    assert_allclose(q, bent + places_by_pixel(affine, 4, rng, shape), atol=1e-5)


def test_affine_parameters_fill_their_ranges():
    affine, n = Affine(rotation=20, scaling=0.3, shear=0.4, shift=5), 4000

    def filled(values, low, high):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / math.sqrt(12 * values.size)

    inverse, shift = affine.inverse(n, generator(6))
    filled(shift[:, 0], -5, 5)
    filled(shift[:, 1], -5, 5)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.1
    # F = rotation · shear · scaling: its second column is (−sin, cos) times the second stretch; the rest follows
    F = np.linalg.inv(inverse)
    angle = np.arctan2(-F[:, 0, 1], F[:, 1, 1])
    filled(np.degrees(angle), -20, 20)
    filled(np.hypot(F[:, 0, 1], F[:, 1, 1]), 0.7, 1.3)
    unrotated = np.stack([np.cos(angle) * F[:, 0, 0] + np.sin(angle) * F[:, 1, 0]])[0]
    filled(unrotated, 0.7, 1.3)
    filled((-np.sin(angle) * F[:, 0, 0] + np.cos(angle) * F[:, 1, 0]) / unrotated, -0.4, 0.4)


# Looking there


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize(
    ("elastic", "affine"),
    [(Elastic(), None), (None, Affine()), (Elastic(1.5, 20), Affine(90, 0.6, 0.5, 4))],
    ids=["elastic", "affine", "both"],
)
def test_images_are_scipys_interpolation_at_the_places(shape, dtype, elastic, affine):
    X = images(6, shape, dtype)
    given = X.copy()
    distortion = Distortion(elastic, affine, shape)
    distorted = distortion(X, generator(8))
    exact = expected(X, distortion.places(6, generator(8)), shape)
    assert (distorted.shape, distorted.dtype) == (X.shape, X.dtype)
    assert not np.may_share_memory(distorted, X)
    assert_array_equal(X, given)
    if dtype == "uint8":
        assert np.abs(distorted - exact).max() <= 0.5 + 1e-3
    else:
        assert_allclose(distorted, exact, atol=1e-5)


def test_inside_the_image_the_places_are_looked_up_without_a_frame():
    X, shape = images(40, (9, 11), "float64"), (9, 11)
    distortion = Distortion(Elastic(2, 8), Affine(), shape)
    q = distortion.places(40, generator(1))
    inside = ((q >= 0) & (q <= np.array([8, 10])[:, None, None])).all(axis=1)  # (rows, n, columns)
    assert 0.3 < inside.mean() < 1
    distorted = distortion(X, generator(1)).reshape(40, *shape).transpose(1, 0, 2)
    assert_allclose(distorted[inside], looked_up(X, q, shape).reshape(40, *shape).transpose(1, 0, 2)[inside], atol=1e-5)


def test_eight_bit_pixels_are_rounded_and_not_cut_off():
    # A ramp shifted along itself by t: pixel k then shows k − t, whose nearest integer is due
    distortion, n = Distortion(affine=Affine(0, 0, shift=1), shape=(5, 201)), 128
    shift = distortion.affine.inverse(n, generator())[1]
    got = distortion(np.tile(np.arange(201, dtype=np.uint8), (n, 5)), generator()).reshape(n, 5, 201)[:, 2, 2:-2]
    off = got - (np.arange(2, 199) - shift[:, 1:])
    assert 0.49 < off.max() <= 0.5001
    assert -0.5001 <= off.min() < -0.49
    white = distortion(np.full((n, 1005), 255, np.uint8), generator()).reshape(n, 5, 201)
    assert (white[:, 2, 2:-2] == 255).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("elastic", "affine"), [(None, None), (Elastic(alpha=0), None), (None, NOTHING), (Elastic(3, 0), NOTHING)]
)
def test_no_strength_changes_not_a_bit(dtype, shape, elastic, affine):
    X = images(5, shape, dtype)
    distorted = Distortion(elastic, affine, shape)(X, generator())
    assert distorted.tobytes() == X.tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_beyond_the_edge_all_is_zero(dtype):
    distortion = Distortion(affine=Affine(0, 0, shift=1e6))
    X = np.full((4, 784), 200, dtype)
    away = np.abs(distortion.places(4, generator(3))).min(axis=(0, 3)).max(axis=0) > 100
    assert away.any()
    assert not distortion(X, generator(3))[away].any()


def test_what_is_beyond_the_edge_in_part_fades_out():
    # One pixel of 1, shifted by t: where it was, (1 − |t|) along each direction is left of it, down to nothing
    distortion = Distortion(affine=Affine(0, 0, shift=1.5), shape=(1, 1))
    shift = Affine(0, 0, shift=1.5).inverse(128, generator(9))[1]
    distorted = distortion(np.ones((128, 1)), generator(9))
    assert_allclose(distorted[:, 0], np.prod(np.maximum(0, 1 - np.abs(shift)), axis=1), atol=1e-6)
    assert 0 < np.count_nonzero(distorted) < 128


# Many images, each in its own way


@pytest.mark.parametrize("n", [127, 128, 129, 300])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_many_images(n, dtype):
    shape = (5, 7)
    distortion = Distortion(Elastic(2, 6), Affine(), shape)
    X = images(n, shape, dtype)
    distorted = distortion(X, generator(3))
    rng, exact = generator(3), []
    for start in range(0, n, 128):  # at most so many at a time, from one generator
        part = X[start : start + 128]
        exact.append(expected(part, distortion.places(len(part), rng), shape))
    assert np.abs(distorted - np.concatenate(exact)).max() <= (0.501 if dtype == "uint8" else 1e-5)


@pytest.mark.parametrize("distortion", [Distortion(Elastic()), Distortion(affine=Affine())], ids=["elastic", "affine"])
def test_each_image_gets_a_distortion_of_its_own_and_the_same_from_the_same_generator(distortion):
    X = np.tile(images(1, (28, 28), "uint8"), (260, 1))
    distorted, again, other = (distortion(X, generator(seed)) for seed in (1, 1, 2))
    assert len({row.tobytes() for row in distorted}) == 260
    assert_array_equal(distorted, again)
    assert not {row.tobytes() for row in distorted} & {row.tobytes() for row in other}
    rng = generator(1)
    assert_array_equal(distortion(X, rng), distorted)
    assert not np.array_equal(distortion(X, rng), distorted)  # which has moved on


@pytest.mark.parametrize(
    "laid_out", [np.asfortranarray, lambda X: np.repeat(X, 2, 0)[::2], lambda X: np.repeat(X, 2, 1)[:, ::2], lambda X: X[:0]]
)
def test_layout_in_memory_makes_no_difference(laid_out):
    X = images(150, (5, 7), "float32")
    distortion = Distortion(Elastic(2, 6), Affine(), (5, 7))
    expected_rows = distortion(X, generator(1))[: len(laid_out(X))]
    assert_array_equal(distortion(laid_out(X), generator(1)), expected_rows)


def test_read_only_images_are_taken():
    X = images(3, (28, 28), "uint8")
    X.flags.writeable = False
    Distortion(Elastic(), Affine())(X, generator())[...] = 0  # what comes back may be written to


# Settings, and bad ones


def test_defaults_and_repr():
    assert (Elastic(), Affine()) == (Elastic(6, 37), Affine(15, 0.15, 0, 0))
    distortion = Distortion(Elastic(4, 34), shape=(5, 7))
    assert (distortion.elastic, distortion.affine, distortion.shape) == (Elastic(4, 34), None, (5, 7))
    assert eval(repr(distortion)).elastic == Elastic(4, 34)
    assert "shape=(5, 7)" in repr(distortion)
    with pytest.raises(FrozenInstanceError):
        distortion.elastic.sigma = 0


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (Elastic, "sigma", (0, 1001)),
        (Elastic, "alpha", (-0.1, 1000001)),
        (Affine, "rotation", (-1, 181)),
        (Affine, "scaling", (-0.1, 1)),
        (Affine, "shear", (-1e-9, 11)),
        (Affine, "shift", (-2, 1000001)),
    ],
)
def test_bad_parameters_are_refused(kind, name, wrong):
    for value in wrong:
        with pytest.raises(ValueError, match=rf"^{name}: received {value} \(\w+\), but it must be a finite number"):
            kind(**{name: value})


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"elastic": Affine()}, TypeError, r"^elastic: received Affine.*, but it must be None or an Elastic"),
        ({"affine": "affine"}, TypeError, r"^affine: received 'affine' \(str\), but it must be None or an Affine"),
        ({"shape": [28, 28]}, TypeError, r"^shape: received \[28, 28\] \(list\), but it must be an image's rows and columns"),
        ({"shape": (28,)}, TypeError, r"^shape: received \(28,\)"),
        ({"shape": (0, 28)}, ValueError, r"^shape\[0\]: received 0 "),
        ({"shape": (28, 28.0)}, TypeError, r"^shape\[1\]: received 28\.0 "),
    ],
)
def test_bad_arguments_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        Distortion(**settings)


@pytest.mark.parametrize(
    ("X", "rng", "error", "message"),
    [
        (
            np.zeros((2, 783)),
            generator(),
            ValueError,
            r"X: received shape \(2, 783\), but it must be \(n, 784\): images of 28 × 28",
        ),
        (np.zeros((2, 28, 28)), generator(), ValueError, r"X: received shape \(2, 28, 28\)"),
        ([[0]], generator(), TypeError, r"X: received \[\[0\]\] \(list\), but it must be an array \(n, 784\)"),
        (np.ma.zeros((2, 784)), generator(), TypeError, r"X: received a masked array"),
        (np.zeros((2, 784)), 5, TypeError, r"rng: received 5 \(int\), but it must be a generator, such as numpy\.random\."),
    ],
    ids=["783", "3-D", "list", "masked", "seed"],
)
def test_bad_images_and_generators_are_refused(X, rng, error, message):
    with pytest.raises(error, match=f"^{message}"):
        Distortion(Elastic())(X, rng)


# By text


@pytest.mark.parametrize(
    ("text", "elastic", "affine"),
    [
        ("elastic", Elastic(), None),
        ("affine", None, Affine()),
        ("elastic,affine", Elastic(), Affine()),
        ("affine,elastic", Elastic(), Affine()),
        ("elastic:sigma=4:alpha=34,affine:rotation=10", Elastic(4, 34), Affine(rotation=10)),
        ("affine:shift=2:shear=.1:scaling=1e-1:rotation=0", None, Affine(0, 0.1, 0.1, 2)),
        ("elastic:alpha=0", Elastic(alpha=0), None),
    ],
)
def test_parse(text, elastic, affine):
    distortion = parse(text)
    assert (distortion.elastic, distortion.affine, distortion.shape) == (elastic, affine, (28, 28))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^distort: received '' \(str\), but it must be one of elastic, affine$"),
        ("elastic:sigma=4:sigma=5", r"^distort: received 'sigma' twice in "),
        ("elastik", r"^distort: received 'elastik' .*one of elastic, affine; did you mean 'elastic'\?"),
        ("elastic:sigm=3", r"^distort elastic: received 'sigm' .*one of sigma, alpha; did you mean 'sigma'\?"),
        ("elastic:sigma", r"^distort elastic sigma: received 'sigma' \(str\), but it must be a number"),
        ("elastic:sigma=six", r"^distort elastic sigma: received 'six' "),
        ("elastic:sigma=0", r"^distort: elastic sigma: received 0\.0 .*at least 0\.1"),
        ("elastic,elastic", r"^distort: received 'elastic' twice in 'elastic,elastic'"),
    ],
)
def test_texts_that_name_no_distortion_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


# Faults that are known


def test_negative_integers_are_rounded_too():
    X = np.array([[-3, 2, -1]])
    assert_array_equal(Distortion(shape=(1, 3))(X, generator()), X)


def test_black_and_white_images_are_rounded_too():
    X = np.ones((50, 25), bool)
    kept = Distortion(affine=Affine(0, 0, shift=2.5), shape=(5, 5))(X, generator()).mean()
    assert kept == pytest.approx(
        Distortion(affine=Affine(0, 0, shift=2.5), shape=(5, 5))(X * 1.0, generator()).mean(), rel=0.05
    )


def test_the_narrowest_of_gaussians_smooths_nothing():
    assert np.isfinite(Distortion(Elastic(sigma=0.1), shape=(3, 3)).places(1, generator())).all()
