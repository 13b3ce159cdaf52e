"""Where a cluster's parts come from: files, tables, Dask arrays and frames, which workers read."""

import dask
import dask.array
import numpy as np
import pytest

import mlp
from mlp.cluster import Arrays, Idx, Npz, SummedObjective, Table, cut, cut_frame

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def test_files_are_read_by_workers(client, tmp_path, write_idx, network):
    rng = np.random.default_rng(2)
    X, y = rng.integers(0, 256, (40, 12), dtype=np.uint8), rng.integers(0, 4, 40).astype(np.uint8)
    np.savez(tmp_path / "stored.npz", X=X, labels=y)
    np.savez_compressed(tmp_path / "compressed.npz", X=X, labels=y)
    labels = write_idx(tmp_path / "labels", y)
    plain = Idx(write_idx(tmp_path / "images", X.reshape(40, 3, 4)), labels)
    packed = Idx(write_idx(tmp_path / "images.gz", X.reshape(40, 3, 4)), str(labels))
    net = network()
    expected = mlp.Objective(net, X, y.astype(int))(net.theta)[1]
    parts = [
        plain.cut(40, 3),
        [*packed.cut(24, 2), Idx(labels=str(labels), images=plain.images, start=24)],
        Npz(tmp_path / "stored.npz", y="labels").cut(40, 3),
        Npz(tmp_path / "compressed.npz", y="labels").cut(40, 3),
    ]
    for some in parts:
        summed = SummedObjective(client, net, some)
        np.testing.assert_allclose(summed(net.theta)[1], expected, rtol=1e-12, atol=1e-15)
        assert len(summed) == 40


def test_dask_arrays_are_parts_where_their_chunks_end(client, examples, network):
    X, y = examples()
    weights = np.linspace(1, 2, 96)
    blocks = [dask.array.from_array(array, chunks=chunks) for array, chunks in ((X, (40, 5)), (y, 96), (weights, 7))]
    parts = cut(*blocks)
    assert list(map(str, parts)) == [f"Dask array, rows {rows}" for rows in ("0 to 39", "40 to 79", "80 to 95")]
    net = network()
    expected = mlp.Objective(net, X, y, weights=weights)(net.theta)
    found = SummedObjective(client, net, parts)(net.theta)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-15)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)


def test_a_part_that_cannot_be_read_is_named(client, tmp_path, write_idx, refused, examples, network):
    X, y = examples(20)
    good = Arrays(X, y)
    write_idx(tmp_path / "images", X)
    np.savez(tmp_path / "short.npz", X=X, y=y)
    (tmp_path / "junk.npz").write_bytes(b"junk")
    net = network()
    for error, part, said in (
        (OSError, Idx(tmp_path / "absent"), "absent"),
        (ValueError, Idx(tmp_path / "images", start=15, stop=21), "has 20 rows, but rows 15 to 20 are asked for"),
        (ValueError, Npz(tmp_path / "short.npz", y="labels"), "short.npz: has no array 'labels', but X, y"),
        (ValueError, Npz(tmp_path / "junk.npz"), "junk.npz: not an npz file"),
        (ValueError, Arrays(X, y + 1, name="mine"), "(mine): y: received label 4"),
    ):
        with refused(error, "parts[1]", said):
            SummedObjective(client, net, [good, part])


def test_a_part_can_be_read_again_once_it_is_there(client, tmp_path, refused, examples, network):
    X, y = examples(20)
    with refused(OSError, "later.npz"):
        SummedObjective(client, network(), [Npz(tmp_path / "later.npz")])
    np.savez(tmp_path / "later.npz", X=X, y=y)
    assert len(SummedObjective(client, network(), [Npz(tmp_path / "later.npz")])) == 20


# Tables


@pytest.fixture
def houses(tmp_path):
    """A table as CSV and Parquet, and its examples: numbers, texts, and either for a target."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(4)
    frame = pandas.DataFrame(
        {
            "area": rng.uniform(20, 200, 60).round(2),
            "town": rng.choice(["Bath", "Ely", "Wells"], 60),
            "unused": ["a, quoted\ntext"] * 60,
            "counts": rng.uniform(0, 2, 60).round(3),
            "sold": rng.choice(["no", "yes"], 60),
            "price": rng.uniform(1, 9, 60).round(3),
        }
    )
    frame.to_csv(tmp_path / "houses.csv", index=False)
    frame.drop(columns="unused").to_csv(tmp_path / "plain.csv", index=False)
    frame.to_parquet(tmp_path / "houses.parquet", row_group_size=16)
    return tmp_path, frame


@pytest.mark.parametrize("target", ["sold", "price"])
def test_tables_are_prepared_alike_by_all_parts(client, houses, target):
    """As `mlp.prepare` does it, of all rows at once: one-hot, scaled, the target coded or standardised, with weights."""
    place, frame = houses
    ignored = ["unused", "counts", *({"sold", "price"} - {target})]
    (data,) = mlp.prepare(mlp.read_table(place / "houses.csv", target, ignore=ignored), dtype="float64")
    assert data.X.shape == (60, 4)
    net = mlp.MLP([4, 3, 2 if data.classes else 1], output="softmax" if data.classes else "identity", dtype="float64", seed=0)
    expected = mlp.Objective(net, data.X, data.y, weights=frame["counts"].to_numpy())(net.theta)
    frames = pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=3)
    sources = [Table(place / name, data.preparation, "counts").cut(60, 7) for name in ("plain.csv", "houses.parquet")]
    sources += [Table(place / "houses.csv", data.preparation, "counts").cut(60, 2)]
    for parts in (*sources, cut_frame(frames, data.preparation, "counts")):
        found = SummedObjective(client, net, parts)(net.theta)
        assert found[0] == pytest.approx(expected[0], rel=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-11, atol=1e-14)


def test_a_table_that_cannot_be_read_is_named(client, houses, refused):
    place, frame = houses
    (data,) = mlp.prepare(mlp.read_table(place / "plain.csv", "sold", ignore=["counts", "price"]))
    net = mlp.MLP([4, 2], seed=0)
    for error, path, change, said in (
        (OSError, "absent.csv", {}, "absent.csv"),
        (ValueError, "plain.csv", {"stop": 61}, "plain.csv: rows 0 to 60 are asked for, but it has 60"),
        (ValueError, "houses.parquet", {"start": 70, "stop": 71}, "houses.parquet: rows 70 to 70 are asked for"),
        (ValueError, "plain.csv", {"weights": "weight"}, "lacks the column 'weight'"),
    ):
        with refused(error, "parts[0]", said):
            SummedObjective(client, net, [Table(place / path, data.preparation, **change)])
    text = (place / "plain.csv").read_text().splitlines()
    (place / "bad.csv").write_text("\n".join([*text[:31], "oops" + text[31][text[31].index(",") :], *text[32:]]))
    with refused(ValueError, "bad.csv, rows 20 to 39", "in row 11", "counted from the part's first"):
        SummedObjective(client, net, Table(place / "bad.csv", data.preparation).cut(60, 3))
    with refused(TypeError, "preparation: received None"):
        Table(place / "plain.csv", None)
    frames = pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=2)
    with refused(ValueError, "frame: lacks the columns 'heads'"):
        cut_frame(frames, data.preparation, "heads")
    with refused(TypeError, "frame: received"):
        cut_frame(frame, data.preparation)
