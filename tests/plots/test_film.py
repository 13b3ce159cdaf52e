"""A film's frames, and the file: its frames are read back with Pillow."""

import itertools

import numpy as np
import pytest
from matplotlib.animation import writers
from PIL import Image

import mlp
from mlp.plots import Film


@pytest.fixture
def learning(problem):
    """A network of nine inputs, which make 3 × 3 pixels, and its objective: three steps an epoch."""
    return lambda **settings: problem(n=9, sizes=(9, 4, 3), **settings)


def frames_of(path):
    with Image.open(path) as film:
        for number in itertools.count():
            try:
                film.seek(number)
            except EOFError:
                return
            yield np.asarray(film.convert("L")).astype(int), film.info["duration"]


def test_frames_are_taken_ever_further_apart_and_at_both_ends(learning, tmp_path):
    net, objective = learning()
    start = net.layers[0].W.copy()
    film = Film(net, tmp_path / "film.gif", validation=objective)
    mlp.sgd(objective, net.theta, batch_size=3, epochs=11, seed=0, callback=film, each_step=film.each_step)
    film.save()
    assert [frame[0] for frame in film.frames] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 19, 22, 26, 31, 33]
    assert film.frames[9][1] == 2  # after nine steps of three an epoch: the callback comes after the step
    np.testing.assert_array_equal(film.frames[0][3], start)
    np.testing.assert_array_equal(film.frames[-1][3], net.layers[0].W)
    assert film.frames[-1][2] == objective.evaluate(net.theta).accuracy


def test_over_a_pool_the_first_layer_with_weights_is_filmed(tmp_path):
    net = mlp.MLP([(6, 4), mlp.MaxPool(2), 3], seed=0)
    film = Film(net, tmp_path / "film.gif")
    assert film.shape == (3, 2, 1)
    np.testing.assert_array_equal(film.frames[0][3], net.layers[1].W)


def test_film_shows_each_frame_and_holds_the_last(learning, tmp_path):
    net, _ = learning()
    film = Film(net, tmp_path / "film.gif", count=2)
    for value in (-1.0, 0.0, 1.0):  # all weights black, grey, white; white is the last frame's
        net.layers[0].W[...] = value
        film.frames.append((0, 0, None, net.layers[0].W[:2].copy()))
    del film.frames[0]
    film.save()
    frames = list(frames_of(tmp_path / "film.gif"))
    height, width = frames[0][0].shape
    seen = [frame[height * 3 // 4, width // 4] for frame, _ in frames]
    assert seen == pytest.approx([0, 127.5, 255], abs=6)
    assert [time for _, time in frames[:2]] == [120, 120]  # 8 a second, in hundredths of a second
    assert frames[2][1] > 2000


def test_iterations_of_lbfgs_are_filmed_as_they_are(learning, tmp_path):
    net, objective = learning()
    film = Film(net, tmp_path / "film.gif")
    seen = [net.layers[0].W.copy()]
    layer = net.layers[0]

    def callback(intermediate_result):
        film(intermediate_result)
        seen.append(layer.at(intermediate_result.x[: layer.size]).W.copy())

    mlp.lbfgs(objective, net.theta, maxiter=4, callback=callback, each_step=film.each_step)
    film.save()
    assert film.unit == "iteration"
    np.testing.assert_array_equal([frame[3] for frame in film.frames], seen)


def test_callback_alone_films_epochs(learning, tmp_path):
    net, objective = learning()
    film = Film(net, tmp_path / "film.gif")
    mlp.adam(objective, net.theta, batch_size=3, epochs=3, seed=0, callback=film)
    film.save()
    assert [frame[:2] for frame in film.frames] == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_film_of_100_features_of_mnist_is_small(tmp_path):
    training, *_ = mlp.load_mnist(validation=50_000)
    net = mlp.MLP([784, 100, 10], seed=0)
    film = Film(net, tmp_path / "film.gif")
    objective = mlp.Objective(net, training.X, training.y, weight_decay=5e-4)
    mlp.sgd(objective, net.theta, batch_size=64, epochs=2, seed=0, callback=film, each_step=film.each_step)
    film.save()
    assert len(film.frames) > 30
    assert (tmp_path / "film.gif").stat().st_size < 3_000_000


def test_mp4_needs_ffmpeg(learning, tmp_path, refused, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(ValueError, "file: received", "ffmpeg"):
        Film(learning()[0], tmp_path / "film.mp4")


@pytest.mark.skipif(not writers.is_available("ffmpeg"), reason="there is no ffmpeg, which films as MP4 need (Debian's: ffmpeg)")
def test_mp4_is_a_film_too(learning, tmp_path):
    net, _ = learning()
    Film(net, tmp_path / "film.mp4").save()
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"  # ISO/IEC 14496-12, 4.3: the first box
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_what_cannot_be_filmed_is_refused(learning, tmp_path, refused):
    net, _ = learning()
    with refused(ValueError, "file: received", ".gif, .mp4"):
        Film(net, tmp_path / "film.png")
    with refused(FileNotFoundError, "file: received", "there is no directory"):
        Film(net, tmp_path / "none" / "film.gif")
    with refused(ValueError, "shape: received None", "6 values"):
        Film(mlp.MLP([6, 3], seed=0), tmp_path / "film.gif")
    with refused(ValueError, "net: received", "must have weights W"):
        Film(mlp.MLP([(4, 4), mlp.MaxPool(2)], output="identity"), tmp_path / "film.gif")
    with refused(TypeError, "validation: received", "evaluate(theta)"):
        Film(net, tmp_path / "film.gif", validation=net)


def test_film_is_whole_or_not_there(learning, tmp_path, monkeypatch):
    net, _ = learning()
    film = Film(net, tmp_path / "film.gif")
    (tmp_path / "film.gif").write_bytes(b"before")
    monkeypatch.setattr("mlp.plots.film.tiled", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        film.save()
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]
    assert (tmp_path / "film.gif").read_bytes() == b"before"
