"""What the distribution and the pages about it promise: one version, the right files in a wheel, links that lead somewhere."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mlp

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = ("README.md", "CHANGELOG.md", "scripts/README.md", "data/README.md")


def test_version_is_a_literal_that_the_build_can_read_and_has_an_entry_in_the_changelog():
    source = ast.parse((ROOT / "mlp" / "__init__.py").read_text(encoding="utf-8"))
    written = [of.value.value for of in source.body if isinstance(of, ast.Assign) and of.targets[0].id == "__version__"]
    assert written == [mlp.__version__]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mlp.__version__"}
    release = re.match(r"\d+\.\d+\.\d+", mlp.__version__)[0]
    assert re.search(rf"^## .*{re.escape(release)}", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_version_needs_no_installed_distribution(tmp_path):
    (tmp_path / "mlp").symlink_to(ROOT / "mlp", target_is_directory=True)
    code = (
        "import importlib.metadata as m, sys\n"
        "def absent(name): raise m.PackageNotFoundError(name)\n"
        "m.version = m.distribution = absent\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import mlp; print(mlp.__version__)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert ended.stdout.strip() == mlp.__version__, ended.stderr


def test_names_are_imported_when_they_are_first_used():
    code = "import sys, mlp; print([name for name in ('numpy', 'scipy', 'matplotlib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
    source = (ROOT / "mlp" / "__init__.py").read_text(encoding="utf-8")
    found = re.findall(r"^    from mlp\.(\w+) import (\w+) as \2$", source, re.MULTILINE)
    typed = {name: home for home, name in found}
    assert typed == mlp._HOMES  # what type checkers read is what happens
    assert {*typed, "plots"} <= set(dir(mlp))
    for name in typed:
        assert getattr(mlp, name).__name__ == name
    with pytest.raises(AttributeError, match=r"^module 'mlp' has no attribute 'Perceptron'$"):
        mlp.Perceptron  # noqa: B018


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name):
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://", "#"))]
    assert links
    assert [link for link in local if not (page.parent / link.partition("#")[0]).exists()] == []


#: What several of them share.
SHARED = {"benchmark_images.py", "picture.py", "damaged_files.py", "damaged_tables.py"}


def test_every_script_is_in_the_table_of_scripts():
    table = (ROOT / "scripts" / "README.md").read_text(encoding="utf-8")
    programs = {path.name for path in (ROOT / "scripts").glob("*.py")} - SHARED
    assert set(re.findall(r"^\| \[(\w+\.py)\]\(\1\)", table, re.MULTILINE)) == programs


def test_the_first_page_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
