"""Files are written whole or not at all, whoever else writes, and what is no file is neither written nor read."""

import errno
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mlp
from mlp.checkpoint import atomic_write, files, load, load_state, save, save_state

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes, links, pipes and limits are POSIX's")


def net_of(seed, sizes=(200, 100, 10)):
    return mlp.MLP(list(sizes), seed=seed)


def state_of(seed):
    return mlp.State("sgd", {"theta": np.full(20_000, float(seed)), "velocity": np.full(20_000, float(seed))}, {"history": []})


# Many at once


@pytest.mark.parametrize(("write", "read", "make"), [(save, load, net_of), (save_state, load_state, state_of)])
def test_threads_that_save_to_one_path_never_leave_a_damaged_file(path, write, read, make):
    things = [make(0), make(1)]
    write(path, things[0])
    writers_left = len(things)
    loads = 0

    def save_fifty(thing):
        nonlocal writers_left
        try:
            for _ in range(50):
                write(path, thing)
        finally:
            writers_left -= 1

    def load_all_the_time():
        nonlocal loads
        while writers_left:
            read(path)
            loads += 1

    with ThreadPoolExecutor(3) as pool:
        for done in [*(pool.submit(save_fifty, thing) for thing in things), pool.submit(load_all_the_time)]:
            done.result()
    assert loads > 5
    assert os.listdir(path.parent) == [path.name]


def test_what_is_being_written_is_no_leftover(path):
    dead = path.with_name(".model.npz.4711.part")
    dead.write_bytes(b"half")
    with atomic_write(path) as stream:
        stream.write(b"new")
        (cleaner := threading.Thread(target=files.remove_leftovers, args=(path.parent,))).start()
        cleaner.join()
        assert [part.name for part in path.parent.iterdir()] == [os.path.basename(stream.name)]
    assert path.read_bytes() == b"new"


def test_a_part_file_that_is_taken_for_a_leftover_before_it_is_locked_is_made_anew(path, monkeypatch):
    lock, taken = files.try_lock, []

    def too_late(stream, wait=False):
        if not taken:
            taken.append(stream.name)
            os.unlink(stream.name)
        return lock(stream, wait)

    monkeypatch.setattr(files, "try_lock", too_late)
    with atomic_write(path) as stream:
        stream.write(b"new")
    assert len(taken) == 1
    assert path.read_bytes() == b"new"


# Whole or not at all


def test_the_new_file_has_its_name_only_when_it_is_complete(path):
    path.write_bytes(b"old")
    with atomic_write(path) as stream:
        stream.write(b"new" * 1_000)
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" * 1_000
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("old", [b"as it was", None])
@pytest.mark.parametrize("failure", [OSError("the disk is full"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_a_failure_while_writing_leaves_everything_as_it_was(path, old, failure):
    def write_half():
        with atomic_write(path) as stream:
            stream.write(b"half of the new")
            raise failure

    if old is not None:
        path.write_bytes(old)
    with pytest.raises(type(failure)):
        write_half()
    assert os.listdir(path.parent) == ([path.name] if old else [])
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("room", [0, 100, 4_096, 20_000])
def test_a_full_disk_leaves_the_old_model(path, room, refused):
    resource = pytest.importorskip("resource")
    old, new = net_of(1, [4, 3, 2]), net_of(2, [100, 100, 10])  # the new one has 44 kB
    save(path, old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with refused(OSError, "File too large", path):
            save(path, new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load(path).theta.tobytes() == old.theta.tobytes()
    assert os.listdir(path.parent) == [path.name]
    save(path, new)
    assert load(path).theta.tobytes() == new.theta.tobytes()


def test_the_file_is_on_the_disk_before_it_has_its_name_and_its_directory_after(path, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: events.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))) or sync(fd))
    monkeypatch.setattr(os, "replace", lambda *names: events.append("replace") or replace(*names))
    with atomic_write(path) as stream:
        part = os.path.basename(stream.name)
    assert events == [part, "replace", path.parent.name]


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_directory_that_cannot_be_synced(path, monkeypatch, refused, number, fails):
    sync = os.fsync

    def fail(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    if fails:
        with refused(OSError, "Input/output error", path):
            save(path, net_of(0))
    else:  # of a file system that has no such thing
        save(path, net_of(0))
    assert load(path).theta.tobytes() == net_of(0).theta.tobytes()


# Links, permissions, and what is no file


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symbolic_link_stays_one(tmp_path, dangling):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "target.npz", tmp_path / "link.npz"
    link.symlink_to("deep/target.npz")
    if not dangling:
        save(target, net_of(0))
    save(link, net_of(1))
    assert link.is_symlink()
    assert load(target).theta.tobytes() == load(link).theta.tobytes() == net_of(1).theta.tobytes()
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["deep", "link.npz", "target.npz"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444])
def test_an_existing_files_mode_is_kept(path, mode):
    save(path, net_of(0))
    path.chmod(mode)
    save(path, net_of(1))
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_secret_file_is_secret_while_it_is_written(path):
    path.touch(0o600)
    with atomic_write(path) as stream:
        assert stat.S_IMODE(os.fstat(stream.fileno()).st_mode) == 0o600


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_default_mode(path, mask, mode):
    before = os.umask(mask)
    try:
        save(path, net_of(0))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


WRITERS = [lambda path: save(path, net_of(0)), lambda path: save_state(path, state_of(0))]
READERS = [load, load_state, mlp.checkpoint.load_notes]


@pytest.mark.parametrize("act", [*READERS, *WRITERS])
def test_devices_pipes_and_directories(tmp_path, act, refused):
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("/dev/zero", "a device"), ("/dev/null", "a device"), (tmp_path / "pipe", "a pipe")):
        with refused(ValueError, f"{name}: is {kind}, but it must be a file"):
            act(name)
    with refused(IsADirectoryError, f"Is a directory: '{tmp_path}'"):
        act(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("act", [*READERS, *WRITERS])
@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("", ValueError, "path: received '' (str), but it must be the path of"),
        ("a\0b", ValueError, "path: received 'a\\x00b' (str)"),
        (None, TypeError, "path: received None (NoneType), but it must be a path"),
        (3, TypeError, "path: received 3 (int), but it must be a path"),
        (b"model.npz", TypeError, "path: received b'model.npz' (bytes), but it must be a path"),
    ],
)
def test_what_is_no_path(act, path, kind, said, refused):
    with refused(kind, said):
        act(path)


@pytest.mark.parametrize("act", [*READERS, *WRITERS])
def test_a_directory_that_is_not_there_is_named_by_the_callers_path(tmp_path, act, refused):
    with refused(FileNotFoundError, f"No such file or directory: '{tmp_path / 'nowhere' / 'file.npz'}'"):
        act(tmp_path / "nowhere" / "file.npz")
    assert os.listdir(tmp_path) == []


# Trouble that says nothing about the file


LIMITED = """
import resource, sys
import mlp
mlp.load  # what it needs is imported now
pages = int(open("/proc/self/statm").read().split()[0])
for room in (10, 50):
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (room << 20), -1))
    try:
        mlp.load(sys.argv[1])
    except MemoryError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_good_model_that_memory_does_not_suffice_for_is_not_called_damaged(path):
    save(path, mlp.MLP([1000, 8000, 10]))  # 32 MB
    ended = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=True)
    lines = ended.stdout.splitlines()
    assert lines[0] == f"{path}: not enough memory to read its {path.stat().st_size:,} bytes"
    assert lines[1] == f"{path}: not enough memory for its 8,088,010 parameters"
    assert load(path).sizes == [1000, 8000, 10]


@pytest.mark.parametrize("failing", range(8))
def test_a_disk_that_fails_while_a_file_is_read_is_said_to(path, failing, monkeypatch, refused):
    """zipfile turns some of these into "not a zip file", and the reader must not believe it."""
    save(path, net_of(0))
    read, count = files._Source.read, 0

    def fail(source, size=-1):
        nonlocal count
        count += 1
        if count > failing:
            source.stream = Broken()
        return read(source, size)

    class Broken:
        def read(self, _size):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files._Source, "read", fail)
    with refused(OSError, "Input/output error", path) as _:
        load(path)
