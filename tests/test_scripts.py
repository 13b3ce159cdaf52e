"""Every program in scripts/ runs, in a small setting, with warnings as errors. A new script is one more line in SCRIPTS."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parent.parent / "scripts"

#: (script, arguments that make it small, a regular expression that its output must match)
SCRIPTS = [
    (
        "lbfgs_from_scipy.py",
        "--examples 500 --iterations 20",
        r"iteration   20: cost 0\.\d+\n(.*\n)*test accuracy: [78]\d\.\d\d%",
    ),
]


@pytest.mark.parametrize(("script", "arguments", "expected"), SCRIPTS, ids=[script for script, *_ in SCRIPTS])
def test_script_runs(script, arguments, expected, tmp_path):
    ended = subprocess.run(
        [sys.executable, str(DIRECTORY / script), *arguments.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8", "MPLBACKEND": "agg"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Warning" not in ended.stderr
    assert re.search(expected, ended.stdout), ended.stdout


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.py")), ids=lambda path: path.name)
def test_script_is_listed_and_says_how_to_run_it(path):
    assert path.name in [script for script, *_ in SCRIPTS]
    assert f"python scripts/{path.name}" in ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
