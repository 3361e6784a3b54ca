"""Parts that run one after the other: one summary, and one exit code for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import parts
from tests.config.small_parts import BROKEN, FAILING, NOTHING, OPTIONS, PASSING, make_parts
from tests.in_turn import run_in_turn


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run parts of these contents; return the exit code and what was said."""
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_files(*contents: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
        code = run_in_turn(make_parts(tmp_path, *contents), [*OPTIONS, *options])
        return code, capfd.readouterr().out

    return run_files


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


def test_a_part_that_dies_is_an_error_and_the_next_one_runs(run: Any) -> None:
    code, said = run("def test_it_does_die():\n    import os; os._exit(9)\n", PASSING)

    assert code == 9
    assert said.splitlines()[-2] == "FAILED part 0: ended with exit code 9"
    assert " 1 passed, 1 error in " in said.splitlines()[-1]


def test_the_summary_says_how_long_each_part_took(run: Any) -> None:
    _, said = run(PASSING, PASSING)

    assert [line.split()[:2] for line in said.splitlines() if "s of CPU" in line] == [["part", "0"], ["part", "1"]]
