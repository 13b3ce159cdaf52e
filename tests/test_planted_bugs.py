"""That the tests can fail: each bug of planted_bugs.json, planted into a copy of mlp/, is found; undamaged code passes."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("planted_bugs", Path(__file__).with_name("planted_bugs.py"))
planted_bugs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(planted_bugs)


def test_every_bug_can_be_planted_once_and_its_tests_are_there():
    names = [bug["name"] for bug in planted_bugs.BUGS]
    assert len(set(names)) == len(names)
    for bug in planted_bugs.BUGS:
        code = (planted_bugs.ROOT / bug["file"]).read_text(encoding="utf-8")
        assert code.count(bug["before"]) == 1, bug["name"]
        assert bug["before"] != bug["after"]
        assert all((planted_bugs.ROOT / test.split("::")[0]).exists() for test in bug["tests"]), bug["name"]


def test_an_edit_that_fits_nowhere_is_refused(tmp_path):
    (tmp_path / "code.py").write_text("a = 1\na = 1\n", encoding="utf-8")
    for before in ("a = 1", "b = 1"):
        with pytest.raises(ValueError, match=r"^mine: code\.py has [02] times: '[ab] = 1'"):
            planted_bugs.plant({"name": "mine", "file": "code.py", "before": before, "after": ""}, tmp_path)


@pytest.mark.slow
def test_where_no_bug_is_planted_none_is_found():
    assert not planted_bugs.is_found(None)


@pytest.mark.slow
@pytest.mark.parametrize("bug", planted_bugs.BUGS, ids=lambda bug: bug["name"])
def test_a_planted_bug_is_found(bug):
    assert planted_bugs.is_found(bug)
