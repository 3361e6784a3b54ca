"""The parts of the test suite: which part a path belongs to, what is passed on, and one exit code for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.parts import PARTS, ROOT, Part, parts_of, run_all, split

BY_NAME = {part.name: part for part in PARTS}
PASSING, FAILING, NOTHING, BROKEN = (
    "def test_it_does_pass(): assert 1\n",
    "def test_it_does_fail(): assert 0\n",
    "x = 1\n",
    "import nothing_of_that_name\n",
)


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def names(*paths: str) -> list[str]:
    return [part.name for part in parts_of(list(paths))]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("tests/order", "order"),
        ("tests/order/test_answers.py", "order"),
        ("tests/order/test_answers.py::test_something[a::b]", "order"),
        (str(ROOT / "tests" / "webapi"), "user"),
        ("tests/config/test_parts.py", "plain"),
        ("tests/messaging/", "messaging"),
        ("tests/journeys", "journeys"),
    ],
)
def test_a_path_belongs_to_the_part_with_its_folder(path: str, part: str) -> None:
    assert parts_of([path]) == {BY_NAME[part]: [path]}


@pytest.mark.parametrize("above", [(), ("tests",), (".",)], ids=str)
def test_a_path_above_several_parts_counts_for_all(above: tuple[str, ...]) -> None:
    chosen = parts_of(list(above))

    assert list(chosen) == list(PARTS)
    assert {folder for paths in chosen.values() for folder in paths} == {
        name for part in PARTS for name in part.folders
    }


def test_paths_of_two_parts_choose_both_each_with_its_own() -> None:
    chosen = parts_of(["tests/order/test_answers.py", "tests/product", "tests/order/test_copies.py"])

    assert chosen == {
        BY_NAME["product"]: ["tests/product"],
        BY_NAME["order"]: ["tests/order/test_answers.py", "tests/order/test_copies.py"],
    }


def test_a_path_outside_the_tests_belongs_to_no_part() -> None:
    assert names("config") == []


def test_every_folder_of_tests_belongs_to_one_part() -> None:
    folders = [folder for part in PARTS for folder in part.folders]
    present = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}

    assert present == set(folders)
    assert len(folders) == len(set(folders))


@pytest.mark.parametrize(
    ("arguments", "paths", "options"),
    [
        ([], [], []),
        (["-q", "tests/order", "-x"], ["tests/order"], ["-q", "-x"]),
        (["-k", "messaging"], [], ["-k", "messaging"]),
        (["-k", "stack", "tests/stack"], ["tests/stack"], ["-k", "stack"]),
        (["-m", "docs", "--maxfail", "1", "tests"], ["tests"], ["-m", "docs", "--maxfail", "1"]),
        (["-kstack", "--ignore=tests/order", "tests"], ["tests"], ["-kstack", "--ignore=tests/order"]),
        (["--ignore", "tests/order"], [], ["--ignore", "tests/order"]),
        (["-k", "tests", "tests"], ["tests"], ["-k", "tests"]),
        (["tests/order/test_gone.py::test_x", "-q"], ["tests/order/test_gone.py::test_x"], ["-q"]),
        (["--an-unknown-option", "17"], [], ["--an-unknown-option", "17"]),
    ],
)
def test_the_value_of_an_option_is_no_path(arguments: list[str], paths: list[str], options: list[str]) -> None:
    assert split(arguments) == (paths, options)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run parts made of one file each, without servers and outside of this project's configuration."""
    (tmp_path / "conftest.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{SUMMARY}")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_files(*contents: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        chosen = {}
        for number, content in enumerate(contents):
            path = tmp_path / f"test_part_{number}.py"
            path.write_text(content)
            chosen[Part(f"part {number}", ())] = [str(path)]
        code = run_all(chosen, ["-p", "no:cacheprovider", "-q", *options])
        return code, capfd.readouterr().out

    return run_files


SUMMARY = """
import json, os
from pathlib import Path

def pytest_terminal_summary(terminalreporter):
    stats = terminalreporter.stats
    counts = {name: len(stats.get(name, ())) for name in ("passed", "failed", "error")}
    failures = [report.nodeid for name in ("failed", "error") for report in stats.get(name, ())]
    Path(os.environ["TEST_PARTS_REPORT"]).write_text(json.dumps({"counts": counts, "failures": failures}))
"""


def test_parts_that_pass_end_with_one_summary_and_zero(run: Any) -> None:
    code, said = run(PASSING, PASSING)

    assert code == 0
    assert "######## part 0" in said and "######## part 1" in said
    assert " 2 passed in " in said.splitlines()[-1]


def test_a_failure_in_an_early_part_is_named_at_the_end_and_ends_with_one(run: Any) -> None:
    code, said = run(FAILING, PASSING)

    assert code == 1
    assert said.splitlines()[-2] == "FAILED test_part_0.py::test_it_does_fail"
    assert " 1 failed, 1 passed in " in said.splitlines()[-1]


def test_a_part_that_can_not_be_collected_ends_with_pytests_code_for_that(run: Any) -> None:
    code, said = run(PASSING, BROKEN)

    assert code == 2
    assert " 1 passed, 1 error in " in said.splitlines()[-1]


def test_no_tests_in_one_part_is_fine_and_in_all_parts_is_not(run: Any) -> None:
    assert run(NOTHING, PASSING)[0] == 0
    assert run(PASSING, PASSING, options=("-k", "nothing_of_that_name"))[0] == 5


def test_the_first_failure_ends_the_run_when_that_is_asked_for(run: Any) -> None:
    code, said = run(FAILING, PASSING, options=("-x",))

    assert code == 1
    assert "part 1" not in said
