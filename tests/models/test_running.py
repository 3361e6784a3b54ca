"""How the models are run: the table's exit code, wrong names and options, and C++ without warnings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models import __main__ as command
from models import runner
from models.catalog import CONFIGURATIONS, named
from models.configuration import Configuration, Outcome

RELAY = next(each for each in CONFIGURATIONS if each.model == "relay" and each.small)


@pytest.mark.parametrize("model", ["relay", "saga"])
def test_the_models_in_cpp_compile_without_warnings(model: str, built: Path, tmp_path: Path) -> None:
    assert runner.build_search(model, tmp_path, flags=[*runner.WARNINGS, "-Werror", "-O0"]).exists()


def test_an_option_that_a_model_does_not_have_is_refused(built: Path) -> None:
    with pytest.raises(runner.BuildError, match="there is no option without_lok"):
        runner.run(replace(RELAY, options=("without_lok",)), built, 60)


def test_a_run_that_takes_too_long_has_no_verdict(built: Path) -> None:
    outcome = runner.run(Configuration("relay", "large", ("rows=5",)), built, 0.2)

    assert outcome.seen == "no verdict"
    assert not outcome.meets(RELAY)


def test_a_violation_comes_with_the_steps_to_it(built: Path) -> None:
    [pages] = named(["relay/pages-each-its-own-snapshot"])

    outcome = runner.run(pages, built, 60, trace=True)

    assert "relay 1 reads a page and goes on to the next; picked so far: b1" in outcome.trace


@pytest.mark.parametrize(
    ("outcome", "as_expected"),
    [
        (Outcome("fails", "P4: the first occurrences of a key are out of order"), True),
        (Outcome("fails", "P2: a row was deleted that is not in the log"), False),
        (Outcome("holds"), False),
    ],
)
def test_a_failure_counts_only_for_the_reason_that_is_expected(outcome: Outcome, as_expected: bool) -> None:
    assert outcome.meets(Configuration("relay", "any", breaks="P4", left_out="a rule")) == as_expected


def test_the_table_shows_each_run_and_what_was_not_expected_decides_the_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected, missed = (RELAY, Outcome("holds", states=7)), (RELAY, Outcome("fails", "P2"))

    assert command._report([expected]) == 0
    assert command._report([expected, missed]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == [RELAY.title, "-", "holds", "holds", "7", "0.0"]
    assert lines[-1] == f"2 runs, 1 not as expected: {RELAY.title}"


def test_a_name_that_nothing_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["relais"]) == 2
    assert "relais" in capsys.readouterr().err
