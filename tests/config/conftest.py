"""The tests of the test runner run pytest themselves: their runs are no lanes, and report to nothing."""

from __future__ import annotations

import pytest

from tests import progress, side_by_side, summary


@pytest.fixture(autouse=True)
def outside_of_any_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (side_by_side.LANE, progress.FILE, summary.REPORT, "STACK_PORTS"):
        monkeypatch.delenv(name, raising=False)
