"""Which lane has which tests: every file is in one, and in one only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lanes import LANES, OUTAGES, lanes_of
from tests.parts import ROOT, parts_of


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def files_in(path: str) -> list[Path]:
    return [ROOT / path] if path.endswith(".py") else sorted((ROOT / path).rglob("test_*.py"))


def test_every_file_of_tests_runs_in_one_lane() -> None:
    lanes = lanes_of(parts_of([]))
    given = [path for own in lanes.values() for paths in own.values() for path in paths]
    run = [file for path in given for file in files_in(path)]

    assert list(lanes) == [lane.name for lane in LANES]
    assert sorted(run) == sorted(ROOT.glob("tests/**/test_*.py"))


def test_files_of_another_lane_are_there() -> None:
    assert all((ROOT / "tests/messaging" / name).exists() for name in OUTAGES)


def test_parts_of_one_lane_run_in_one_lane() -> None:
    assert len(lanes_of(parts_of(["tests/order", "tests/coupon"]))) == 1


def test_a_file_or_a_single_test_goes_to_its_own_lane() -> None:
    outage, other = "tests/messaging/test_broker_outage.py::test_x[a::b]", "tests/messaging/test_batch.py"

    lanes = lanes_of(parts_of([outage, other]))

    assert {name: list(own.values()) for name, own in lanes.items()} == {"outages": [[outage]], "messaging": [[other]]}
