"""The clock of the scheduled tasks when the time of day is set: what is scheduled goes on at its pace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.beat import PersistentScheduler

from config.celery import app as service_app
from messaging.worker.beat import Scheduler

HOUR = timedelta(hours=1)


class Clock:
    """The time of day, as it is set."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Celery:
    made = Celery("clock", broker="memory://")
    made.conf.update(timezone="UTC", beat_schedule={"each second": {"task": "task", "schedule": 1.0}})
    made.now = clock  # type: ignore[method-assign]
    return made


def ran(scheduler: PersistentScheduler, clock: Clock, *, seconds: int) -> int:
    """Return how often the task ran while so many seconds passed."""
    times = 0
    for _ in range(10 * seconds):
        clock.time += timedelta(seconds=0.1)
        before = scheduler.schedule["each second"].total_run_count
        scheduler.tick()
        times += scheduler.schedule["each second"].total_run_count - before
    return times


@pytest.fixture
def scheduler(app: Celery, tmp_path: Path) -> Iterator[Any]:
    made = Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    yield made
    made.close()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_what_is_scheduled_goes_on_after_the_clock_was_set_and_set_right(scheduler: Any, clock: Clock, jump: timedelta):
    assert ran(scheduler, clock, seconds=5) >= 4
    clock.time += jump
    assert ran(scheduler, clock, seconds=5) >= 4
    clock.time -= jump
    assert ran(scheduler, clock, seconds=5) >= 4


def test_a_beat_that_starts_anew_does_not_wait_for_what_ran_in_the_future(app: Celery, clock: Clock, tmp_path: Path):
    file = str(tmp_path / "schedule")
    clock.time += HOUR
    first = Scheduler(app, schedule_filename=file)
    assert ran(first, clock, seconds=5) >= 4
    first.close()
    clock.time -= HOUR

    second = Scheduler(app, schedule_filename=file)
    assert ran(second, clock, seconds=5) >= 4
    second.close()


def test_every_service_has_this_clock():
    assert service_app.conf.beat_scheduler == "messaging.worker.beat:Scheduler"


def test_two_beats_never_share_a_schedule_file(app: Celery, tmp_path: Path, scheduler: Any) -> None:
    with pytest.raises(
        SystemExit, match="another celery beat uses .*schedule: stop it, or give this one a file of its"
    ):
        Scheduler(app, schedule_filename=str(tmp_path / "schedule"))

    scheduler.close()
    Scheduler(app, schedule_filename=str(tmp_path / "schedule")).close()


def test_each_service_has_a_schedule_file_of_its_own() -> None:
    assert service_app.conf.beat_schedule_filename == "celerybeat-schedule-sample"
