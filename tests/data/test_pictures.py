"""Pictures of digits: MNIST's own, blown up and spoilt, must come back as they were; what is no picture is refused."""

import io
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

import mlp
from mlp.data.pictures import find_ink, place_ink, read_digit, read_grey, read_scaled


@pytest.fixture(scope="module")
def mnist():
    return mlp.load_mnist()


@pytest.fixture(scope="module")
def images(mnist):
    return mnist[2].X[:60].reshape(-1, 28, 28)


def blown_up(image):
    """10 × as large, 0 to 1."""
    return np.kron(image, np.ones((10, 10))) / 255


def write(path, brightness, **settings):
    Image.fromarray(np.rint(255 * np.clip(brightness, 0, 1)).astype(np.uint8)).save(path, **settings)
    return path


def placed(grey):
    return place_ink(find_ink(grey)).astype(int)


# What MNIST's images must survive: each takes an image blown up, (280, 280) from 0 to 1, ink being 1


def shifted(ink, rng):
    whole = np.zeros((500, 600))
    top, left = rng.integers(10, 210), rng.integers(10, 310)
    whole[top : top + 280, left : left + 280] = ink
    return whole


def with_light(ink, rng):
    """Dark ink on paper that is lit from the side, in a photo with noise."""
    y, x = np.mgrid[0 : 1 : ink.shape[0] * 1j, 0 : 1 : ink.shape[1] * 1j]
    return (0.5 + 0.4 * x + 0.1 * y - 0.2 * x**2) * (1 - 0.7 * ink) + rng.normal(0, 0.02, ink.shape)


SPOILT = {
    "white on black": lambda ink, _rng: ink,
    "black on white": lambda ink, _rng: 1 - ink,
    "grey paper": lambda ink, _rng: 0.75 - 0.6 * ink,
    "elsewhere": lambda ink, rng: 1 - shifted(ink, rng),
    "in a frame": lambda ink, rng: np.pad(1 - shifted(ink, rng), 8),
    "noise": lambda ink, rng: 0.8 - 0.5 * ink + rng.normal(0, 0.03, ink.shape),
    "uneven light": lambda ink, rng: with_light(shifted(ink, rng), rng),
    "dust": lambda ink, rng: 1 - np.maximum(shifted(ink, rng), np.pad(np.ones((3, 3)), ((4, 493), (4, 593)))),
}


@pytest.mark.parametrize("how", ["white on black", "black on white", "grey paper", "elsewhere", "in a frame", "dust"])
def test_what_is_clean_comes_back_almost_to_the_bit(images, how):
    rng = np.random.default_rng(1)
    found = np.array([placed(SPOILT[how](blown_up(image), rng)) for image in images[:20]])
    off = np.abs(found - images[:20]).max(axis=(1, 2))
    assert np.mean(off <= 8) >= 0.7  # what is darkest is made full black: MNIST's own lack 1 or 2 of 255
    assert off.max() < 128  # the others begin or end with a row so faint that it counts as none


@pytest.fixture(scope="module")
def net(mnist):
    """A quickly trained network."""
    train, _, _ = mnist
    net = mlp.MLP([784, 64, 10], seed=0)
    mlp.sgd(mlp.Objective(net, train.X, train.y), net.theta, learning_rate=0.2, momentum=0.9, batch_size=128, epochs=2, seed=0)
    return net


def loss_of_accuracy(net, test, how):
    rng = np.random.default_rng(2)
    found = [placed(SPOILT[how](blown_up(image), rng)) for image in test.X.reshape(-1, 28, 28)]
    after = net.predict(np.array(found, np.uint8).reshape(len(test), -1)) == test.y
    return np.mean(net.predict(test.X) == test.y) - np.mean(after)


@pytest.mark.parametrize("how", ["noise", "uneven light"])
def test_spoilt_images_are_told_apart_as_before(net, mnist, how):
    assert loss_of_accuracy(net, mnist[2][:50], how) < 0.021  # 1 of 50: half a per cent cannot be told from chance


@pytest.mark.slow
@pytest.mark.parametrize("how", list(SPOILT))
def test_accuracy_over_the_test_set_drops_by_less_than_half_a_per_cent(net, mnist, how):
    """Over all of it where nothing but size and ink have changed, and otherwise over every fifth image."""
    assert loss_of_accuracy(net, mnist[2] if how == "black on white" else mnist[2][::5], how) < 0.005


def test_a_bar_is_twenty_high_and_centred_on_the_middle_pixel():
    ink = np.zeros((90, 50))
    ink[10:70, 20:29] = 1  # 60 × 9: a third of it is 20 × 3
    image = placed(ink)
    rows, columns = np.nonzero(image)
    assert (image[image > 0] == 255).all()
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 23, 13, 15)  # rows' mean 13.5 goes to 14 − ½


def test_areas_are_averaged():
    ink = np.zeros((100, 100))
    ink[20:80, 20:80] = 1
    ink[20:23, 20] = 0  # of the first pixel's 9, 3 are without ink
    assert placed(ink)[placed(ink) > 0].min() == round(255 * 6 / 9)


@pytest.mark.parametrize(
    ("shape", "box"), [((28, 28, 1), (20, 20)), ((14, 14), (10, 10)), ((56, 28), (20, 20)), ((8, 8), (6, 6))]
)
def test_other_shapes_get_the_same_at_their_size(tmp_path, shape, box):
    ink = np.zeros((300, 400))
    ink[100:200, 150:250] = 1
    image = read_digit(write(tmp_path / "square.png", 1 - ink), shape)
    assert image.shape == shape
    assert image.dtype == np.uint8
    rows, columns = np.nonzero(image.reshape(shape[:2]))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == box


# Kinds of files


def as_kind(image, kind):
    """A digit (28, 28) as a picture of Pillow's of that kind."""
    ink = np.rint(255 * blown_up(image)).astype(np.uint8)
    black, white = np.zeros_like(ink), np.full_like(ink, 255)
    if kind == "black ink on nothing":
        return Image.fromarray(np.stack([black, ink], -1))
    if kind == "white ink on nothing":
        return Image.fromarray(np.stack([white, white, white, ink], -1))
    if kind == "paper with transparent edges":
        opaque = np.pad(white[9:-9, 9:-9], 9)
        return Image.fromarray(np.stack([255 - ink, 255 - ink, 255 - ink, opaque], -1))
    if kind == "16 bits":
        return Image.fromarray(65535 - 257 * ink.astype(np.uint16))
    if kind == "palette":
        return Image.fromarray(255 - ink).convert("P")
    if kind == "blue on yellow":
        return Image.fromarray(np.stack([255 - ink, 255 - ink, black], -1))
    return Image.fromarray(255 - ink).convert(kind)


KINDS = ["black ink on nothing", "white ink on nothing", "paper with transparent edges", "16 bits", "palette", "blue on yellow"]


@pytest.mark.parametrize("kind", [*KINDS, "RGB", "RGBA", "LA", "F"])
def test_every_kind_of_pixels_is_read(images, tmp_path, kind):
    path = tmp_path / ("picture.tiff" if kind == "F" else "picture.png")
    as_kind(images[0], kind).save(path)
    assert np.abs(read_digit(path).astype(int) - images[0]).max() <= 8


@pytest.mark.parametrize("name", ["jpg", "bmp", "gif", "webp", "tiff", "ppm"])
def test_every_kind_of_file_is_read(images, tmp_path, name):
    path = write(tmp_path / f"picture.{name}", 1 - blown_up(images[0]))
    assert np.abs(read_digit(path).astype(int) - images[0]).mean() < 8  # JPEG's noise shows around strokes


def test_a_photo_that_the_camera_turned_is_upright(images, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90° clockwise to view" (EXIF 2.3, orientation)
    turned = np.rot90(1 - blown_up(images[0]))  # anticlockwise
    found = read_digit(write(tmp_path / "turned.png", turned, exif=exif))
    assert np.abs(found.astype(int) - images[0]).max() <= 8


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "1"])
def test_a_large_picture_is_reduced_as_it_is_read(tmp_path, mode):
    numbers = np.zeros((300, 4000), np.uint8)
    numbers[100:200] = 255
    picture = Image.fromarray(257 * numbers.astype(np.uint16)) if mode == "I;16" else Image.fromarray(numbers).convert(mode)
    picture.save(tmp_path / "large.png")
    grey = read_grey(tmp_path / "large.png")
    assert grey.shape == (75, 1000)
    assert (grey[[20, 30, 60], 500] == [0, 1, 0]).all()


def test_a_picture_as_it_is_is_only_scaled(tmp_path):
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[:, :3] = [100, 200, 0]
    Image.fromarray(colours).save(tmp_path / "colours.png")
    assert read_scaled(tmp_path / "colours.png", (2, 2, 3)).tolist() == [[[100, 200, 0], [0, 0, 0]]] * 2
    grey = read_scaled(tmp_path / "colours.png", (2, 2))
    assert grey.tolist() == [[147, 0]] * 2  # 0.299 · 100 + 0.587 · 200 = 147.3 (ITU-R 601, which Pillow's L is)


# What is no picture of a digit


@pytest.mark.parametrize("level", [0, 0.5, 1])
def test_a_blank_picture_is_refused(tmp_path, refused, level):
    blank = level + np.random.default_rng(0).normal(0, 0.01, (200, 200))
    with refused(ValueError, "blank.png: nothing in this picture stands out from its background"):
        read_digit(write(tmp_path / "blank.png", blank))


def test_nothing_at_all_is_refused(tmp_path, refused):
    Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(tmp_path / "clear.png")
    with refused(ValueError, "clear.png: nothing in this picture stands out"):
        read_digit(tmp_path / "clear.png")


def test_damaged_files_are_refused_in_one_sentence(tmp_path, images, refused):
    whole = write(tmp_path / "picture.png", 1 - blown_up(images[0])).read_bytes()
    for number, content in enumerate([b"", b"not a picture", whole[: len(whole) // 2], whole[:20], whole[:60] + b"x" * 200]):
        damaged = tmp_path / f"{number}.png"
        damaged.write_bytes(content)
        with refused(ValueError, f"{damaged}: not a picture that Pillow can read, or damaged") as _:
            read_digit(damaged)


def test_random_damage_never_ends_in_another_error(tmp_path, images):
    rng = np.random.default_rng(0)
    for name in ("png", "jpg", "gif", "tiff"):
        whole = np.frombuffer(write(tmp_path / f"whole.{name}", 1 - blown_up(images[0])).read_bytes(), np.uint8)
        for _ in range(25):
            damaged = whole.copy()
            damaged[rng.integers(0, min(len(whole), 400), 3)] = rng.integers(0, 256, 3)
            (tmp_path / "damaged").write_bytes(damaged.tobytes())
            try:
                assert read_digit(tmp_path / "damaged").shape == (28, 28)
            except ValueError as error:
                told = str(error)
            else:
                continue
            assert told.startswith(f"{tmp_path / 'damaged'}: ")
            assert "\n" not in told


def test_a_decompression_bomb_is_refused_before_it_unpacks(tmp_path, refused):
    Image.new("1", (15_000, 15_000)).save(tmp_path / "bomb.png")
    assert os.path.getsize(tmp_path / "bomb.png") < 1 << 20
    with refused(ValueError, "bomb.png: is too large a picture", "225000000 pixels"):
        read_digit(tmp_path / "bomb.png")


def test_files_that_are_none_are_refused(tmp_path, refused):
    with pytest.raises(FileNotFoundError):
        read_digit(tmp_path / "nowhere.png")
    with refused(ValueError, "not a picture, but a directory"):
        read_digit(tmp_path)
    with refused(TypeError, "path: received 3"):
        read_digit(3)


def test_drawing_programs_files_are_refused(tmp_path, refused):
    write(tmp_path / "drawing.eps", np.ones((9, 9)))
    with refused(ValueError, "drawing.eps: not a picture that Pillow can read", "EPS"):
        read_digit(tmp_path / "drawing.eps")


@pytest.mark.parametrize("shape", [(28,), (28, 28, 3), (28, 28, 1, 1), [28, 28], (0, 28), "28"])
def test_a_shape_that_is_no_grey_images_is_refused(tmp_path, refused, shape):
    with refused(ValueError, "shape"):
        read_digit(tmp_path / "any.png", shape)


def test_oddities_of_a_file_are_no_warnings(tmp_path, images):
    """A palette's transparency as bytes makes Pillow warn when it converts."""
    picture = Image.fromarray((255 - np.rint(255 * blown_up(images[0]))).astype(np.uint8)).convert("P")
    content = io.BytesIO()
    picture.save(content, "png", transparency=bytes(range(256)))
    (tmp_path / "odd.png").write_bytes(content.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_digit(tmp_path / "odd.png").shape == (28, 28)


def test_pillow_is_not_imported_before_a_picture_is_read():
    code = "import mlp.data.pictures, sys; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
