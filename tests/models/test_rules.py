"""The protocols hold with every rule in place, and fail when one is left out (models/README.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import runner
from models.catalog import CONFIGURATIONS
from models.configuration import Configuration

#: Seconds until a run counts as stuck; each takes about one.
SECONDS = 300
SMALL = [each for each in CONFIGURATIONS if each.small]
HOLD = [each for each in SMALL if not each.breaks]
FAIL = [each for each in SMALL if each.breaks]
MODELS = sorted({each.model for each in CONFIGURATIONS})


@pytest.mark.parametrize("configuration", HOLD, ids=lambda each: each.title)
def test_every_promise_holds_with_every_rule_in_place(configuration: Configuration, built: Path) -> None:
    outcome = runner.run(configuration, built, SECONDS)

    assert (outcome.seen, outcome.reason) == ("holds", "")


@pytest.mark.parametrize("configuration", FAIL, ids=lambda each: each.title)
def test_a_promise_is_broken_when_a_rule_is_left_out(configuration: Configuration, built: Path) -> None:
    outcome = runner.run(configuration, built, SECONDS)

    assert outcome.seen == "fails"
    assert configuration.breaks in outcome.reason


@pytest.mark.parametrize("model", MODELS)
def test_each_model_has_small_runs_that_hold_and_that_fail(model: str) -> None:
    assert {bool(each.breaks) for each in SMALL if each.model == model} == {True, False}


def test_each_rule_is_named_where_a_model_fails_without_it() -> None:
    assert [each.title for each in CONFIGURATIONS if each.breaks and not each.left_out] == []
