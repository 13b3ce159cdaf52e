"""Plants bugs and says whether the tests find them: each a one-line edit of a copy of mlp/, in planted_bugs.json.

    python tests/planted_bugs.py [part of a bug's name …]

An entry has a name, the file, what stands there (`before`, exactly once), what a bug would make of it (`after`), and the
tests that are to find it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUGS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def plant(bug: dict, root: Path) -> None:
    """Edit the copy of mlp/ in that directory.

    Raises:
        ValueError: what is to be replaced stands there never, or several times.
    """
    path = root / bug["file"]
    code = path.read_text(encoding="utf-8")
    if code.count(bug["before"]) != 1:
        raise ValueError(f"{bug['name']}: {bug['file']} has {code.count(bug['before'])} times: {bug['before']!r}")
    path.write_text(code.replace(bug["before"], bug["after"]), encoding="utf-8")


def run_tests(tests: list[str], root: Path) -> subprocess.CompletedProcess:
    """The tests, run over the copy of mlp/ in that directory; they stop at the first that fails."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )


def is_found(bug: dict | None) -> bool:
    """Whether a bug's tests fail; None: whether all of the tests fail where nothing is planted."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for folder in ("mlp", "tests"):
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "data", "scripts"):
            (root / name).symlink_to(ROOT / name)
        if bug is not None:
            plant(bug, root)
        done = run_tests(bug["tests"] if bug is not None else sorted({test for each in BUGS for test in each["tests"]}), root)
        if done.returncode not in (0, 1):  # 1: a test failed. A file that can't even be collected finds nothing
            raise RuntimeError(f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.returncode == 1


def main(parts: list[str]) -> int:
    """Plant the bugs whose names have one of those parts, or all of them; returns how many were not found."""
    missed = 0
    for bug in BUGS:
        if parts and not any(part in bug["name"] for part in parts):
            continue
        found = is_found(bug)
        missed += not found
        print(f"{'found' if found else 'NOT FOUND':9}  {bug['name']}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
