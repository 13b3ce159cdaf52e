"""The download of MNIST, from mirrors on a server of the test's own, each with its own fault."""

import gzip
import hashlib
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlp.data import load_mnist, mnist

NAMES = tuple(mnist.MNIST)


class Mirrors:
    """A server on this machine with several mirrors of files, {name.gz: content}, of which each has its own fault."""

    def __init__(self, packed):
        self.content = {
            "good": lambda name: packed[name],
            "wrong": lambda name: gzip.compress(name.encode()),  # intact, but not the one
            "repacked": lambda name: gzip.compress(gzip.decompress(packed[name]), compresslevel=1, mtime=12345),
            "cut": lambda name: packed[name][:-6],
            "text": lambda name: b"<html>Please log in to the network</html>",  # noqa: ARG005
            "half": lambda name: packed[name] if name.startswith(NAMES[:2]) else None,
        }
        self.requests = []
        mirrors = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirrors.requests.append(self.path)
                _, mirror, name = self.path.split("/")
                body = None if mirror == "missing" else mirrors.content.get(mirror, mirrors.content["good"])(name)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if mirror == "dropped" else body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def addresses(self, *names):
        return tuple(f"http://127.0.0.1:{self.server.server_port}/{name}/" for name in names)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


FAULTS = ("missing", "wrong", "cut", "text", "dropped")


@pytest.fixture
def mirrors(places, tiny_mnist, put, tmp_path, monkeypatch):
    pytest.importorskip("pooch")
    assert not places["cache"].exists()
    place = put(tmp_path / "server", {f"{name}.gz": array for name, array in tiny_mnist(4).items()})
    packed = {f"{name}.gz": (place / f"{name}.gz").read_bytes() for name in NAMES}
    sha256 = {name: hashlib.sha256(gzip.decompress(packed[f"{name}.gz"])).hexdigest() for name in NAMES}
    monkeypatch.setattr(mnist, "MNIST", sha256)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Mirrors(packed)
    yield served
    served.close()


def files_in(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


COMPLETE = sorted(f"mnist/{name}.gz" for name in NAMES)


@pytest.mark.parametrize("kind", ["good", "repacked"])
def test_what_is_nowhere_is_downloaded_once(places, mirrors, monkeypatch, kind):
    # repacked: the checksum is of the content, and another gzip container around it does no harm
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses(kind, "missing"))
    train, _, test = load_mnist(validation=0)
    assert train.y.tolist() == [4, 1, 2, 3, 9]
    assert test.X[:, 0].tolist() == [100, 101, 102]
    assert files_in(places["cache"]) == COMPLETE
    assert sorted(mirrors.requests) == sorted(f"/{kind}/{name}.gz" for name in NAMES)
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]
    assert len(mirrors.requests) == 4  # the cache served


def test_a_download_shows_its_progress(mirrors, monkeypatch, capfd):
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("good"))
    load_mnist(validation=0)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("100%") >= 4


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_mirror_is_used(places, mirrors, monkeypatch, fault):
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses(fault, "good"))
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]
    assert files_in(places["cache"]) == COMPLETE
    assert len(mirrors.requests) == 8


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_download_is_refused_and_leaves_nothing(places, refused, mirrors, monkeypatch, fault):
    first, second = mirrors.addresses(fault, "missing")
    monkeypatch.setattr(mnist, "MIRRORS", (first, second))
    with refused(OSError, f"{NAMES[0]} could not be downloaded", first, second, "404", str(places["cache"]), *NAMES):
        load_mnist()
    assert files_in(places["cache"]) == []


def test_a_wrong_checksum_is_named(mirrors, refused, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("wrong"))
    with refused(OSError, "SHA-256", mnist.MNIST[NAMES[0]]):
        load_mnist()


def test_no_server_at_all(places, refused, mirrors, monkeypatch):
    addresses = mirrors.addresses("good")
    mirrors.close()
    monkeypatch.setattr(mnist, "MIRRORS", addresses)
    with refused(OSError, f"{NAMES[0]} could not be downloaded", *addresses, *NAMES):
        load_mnist()
    assert files_in(places["cache"]) == []


def test_an_interrupted_download_is_taken_up_again(places, refused, mirrors, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("half"))  # it has the first two only
    with refused(OSError, f"{NAMES[2]} could not be downloaded"):
        load_mnist()
    assert set(files_in(places["cache"])) <= set(COMPLETE)
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("good"))
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]
    assert files_in(places["cache"]) == COMPLETE


def test_what_another_download_left_behind_is_no_obstacle(places, put, mirrors, monkeypatch):
    # the process was killed before it could check the file, or another one is still at it
    put(places["cache"] / "mnist", {f"{name}.gz.part": b"half a file" for name in NAMES})
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("good"))
    assert load_mnist(validation=0)[0].y.tolist() == [4, 1, 2, 3, 9]


def test_ctrl_c_leaves_nothing_unchecked(places, mirrors, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("good"))
    with monkeypatch.context() as patch:
        patch.setattr(mnist.gzip, "open", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_mnist()
    assert files_in(places["cache"]) == []


def test_two_downloads_at_once(places, mirrors, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("good"))
    results = []

    def download():
        try:
            results.append(load_mnist(validation=0)[0].y.tolist())
        except Exception as error:
            results.append(error)

    # each request waits for the other thread's: both are inside the download of the same file
    together = threading.Barrier(2)
    serve = mirrors.content["good"]

    def serve_together(name):
        try:
            together.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            together.reset()
        return serve(name)

    mirrors.content["good"] = serve_together
    threads = [threading.Thread(target=download) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[4, 1, 2, 3, 9]] * 2
    assert files_in(places["cache"]) == COMPLETE


def test_without_pooch_the_error_says_what_belongs_where(places, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # import pooch fails
    with refused(FileNotFoundError, places["cache"] / "mnist", *NAMES, ".gz", "pip install pooch"):
        load_mnist()
    assert not places["cache"].exists()


def test_no_download_where_none_is_wanted(places, refused, mirrors, monkeypatch):
    monkeypatch.setattr(mnist, "MIRRORS", mirrors.addresses("good"))
    with refused(FileNotFoundError, "MNIST was not found", *NAMES):
        load_mnist(download=False)
    with refused(FileNotFoundError, "MNIST was not found", *NAMES):
        load_mnist(places["given"])
    assert mirrors.requests == []


def test_the_advice_fits_the_question(places):
    # a directory that was given is never downloaded into: there the downloader would not help
    with pytest.raises(FileNotFoundError, match="MNIST was not found") as caught:
        load_mnist(places["given"])
    assert "pip install" not in str(caught.value)


def test_the_mirrors_are_as_safe_as_the_checksums():
    assert len(mnist.MIRRORS) >= 2
    assert all(re.fullmatch(r"https://[\w.-]+/[\w./-]*/", mirror) for mirror in mnist.MIRRORS)
