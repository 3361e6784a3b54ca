"""Dead letters that a test has left, let go as an operator does."""

from __future__ import annotations

from config.topology import SERVICES
from stack.progress import tell
from tests.faults.checker import SoakChecker
from tests.journeys.databases import Databases
from tests.journeys.processes import manage
from tests.journeys.waiting import eventually

PATIENT_SECONDS = 600.0
OPEN = "SELECT count(*) FROM messaging_dead_letter WHERE resolved_at IS NULL"


def let_everything_go(databases: Databases, checker: SoakChecker) -> None:
    """Skip every dead letter, as an operator does, and what becomes one when it goes on behind them."""
    while skip_all(databases):
        eventually(lambda: not checker.on_the_way(), "what waited", seconds=PATIENT_SECONDS, state=checker.on_the_way)


def skip_all(databases: Databases) -> int:
    """Skip the open dead letters of every service; return how many there were."""
    total = 0
    for service in SERVICES:
        found = databases.value(service, OPEN)
        if found:
            done = manage(service, "skip_dead_letters", "--all", "--execute", "--reason", "a flood")
            assert done.returncode == 0, done.stdout[-1000:] + done.stderr
            assert done.stdout.splitlines()[-1] == f"{found} done"
        total += found
    tell(f"{total} dead letters were skipped")
    return total
