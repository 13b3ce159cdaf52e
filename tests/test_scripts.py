"""Every program in scripts/ runs, in a small setting, with warnings as errors. A new script is one more line in SCRIPTS.

(test_lecture_scripts.py and test_autoencoder_scripts.py look more closely at some of them.)
"""

import ast
import os
import re
import shutil
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
    (
        "distortions.py",
        "affine elastic:sigma=4:alpha=34 --versions 2 --out distortions.png",
        r"wrote distortions\.png\naffine: [\d,]+ images a",
    ),
    (
        "estimators.py",
        "--seeds 2 --solvers lbfgs --data wine",
        r"wine +lbfgs +0\.9\d+ +0\.9\d+ +[+-]0\.\d+ ± 0\.\d+ +\d+\.\d+\n",
    ),
    (
        "benchmark.py",
        "--quick --rows a,g,k --engines mlp,products --examples 500",
        r"a  784-30-10 logistic, batch 10\n +mlp +\d+\.\d+ s\n +products +\d+\.\d+ s   mlp / products: \d",
    ),
]

#: Where the other scripts are run, by the name of the file that does it.
ELSEWHERE = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*_script*.py"))


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


def test_pictures_go_to_the_checkout_and_git_ignores_them(tmp_path):
    scripts = tmp_path / "checkout" / "scripts"
    scripts.mkdir(parents=True)
    for name in ("picture.py", "activation_functions.py"):
        shutil.copy(DIRECTORY / name, scripts)
    for cwd, said in ((scripts.parent, Path("pictures")), (tmp_path, Path("checkout", "pictures")), (scripts, None)):
        command = [sys.executable, str(scripts / "activation_functions.py")]
        ended = subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", check=True)
        picture = scripts.parent / "pictures" / "activation_functions.png"
        assert ended.stdout.endswith(f"wrote {said / picture.name if said else picture}\n")
        picture.unlink()
    assert "/pictures/" in (DIRECTORY.parent / ".gitignore").read_text(encoding="utf-8").splitlines()


#: All but what several of them share.
PROGRAMS = sorted(
    set(DIRECTORY.glob("*.py")) - {DIRECTORY / "picture.py", DIRECTORY / "damaged_files.py", DIRECTORY / "benchmark_images.py"}
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_script_is_run_by_a_test_and_says_how_to_run_it(path):
    assert path.name in [script for script, *_ in SCRIPTS] or re.search(rf"\b{path.stem}\b", ELSEWHERE)
    assert f"python scripts/{path.name}" in ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
