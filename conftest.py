"""Chooses the settings of the part that is tested; runs several parts in a process each, several lanes at once.

This happens as soon as pytest knows this file: the parts' own conftest files import models, and need the settings by
then.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Collection, Iterator
from typing import Any

import django
import pytest

from config.topology import SERVICES
from stack import supervision, testing
from tests import progress
from tests.ending import end_on_signals, end_with_parent, undisturbed
from tests.in_turn import run_in_turn
from tests.lanes import lanes_of
from tests.parts import Part, parts_of, servers_of, split
from tests.side_by_side import LANE, run_side_by_side
from tests.summary import INTERRUPTED, OUTCOMES, Result

DATABASE_URLS = {f"{name.upper()}_DATABASE_URL" for name in SERVICES}
#: On processors that four lanes share, a connection can take longer than a service's three seconds. Processes that
#: tests start keep those.
PATIENT = {service.settings_module for service in SERVICES.values()}
PATIENCE = "?connect_timeout=30"
#: What shows something at once, or asks: not for lanes, whose output goes to files.
AT_THE_TERMINAL = {"-s", "--capture=no", "--pdb", "--trace", "--collect-only", "--co", "--fixtures", "--markers"}


def choose(arguments: list[str]) -> None:
    """Run several parts and exit, or prepare this process for the one part that is asked for."""
    end_on_signals()
    end_with_parent()
    paths, options = split(arguments)
    chosen = parts_of(paths)
    is_lane = os.environ.pop(LANE, None) is not None
    if not is_lane and len(chosen) > 1 and may_run_at_once(options) and len(lanes := lanes_of(chosen)) > 1:
        raise SystemExit(run_side_by_side(lanes, options, testing.layout().directory))
    start_servers(servers_of(chosen))
    if len(chosen) > 1 or is_lane:
        raise SystemExit(run_in_turn(chosen, options))
    for part in chosen:
        prepare(part)


def may_run_at_once(options: list[str]) -> bool:
    """Say whether lanes may have a stack each, and nobody waits for what they write."""
    return "KAFKA_BOOTSTRAP_SERVERS" not in os.environ and not AT_THE_TERMINAL & set(options)


def prepare(part: Part) -> None:
    """Set Django up for the part, if it has settings."""
    if part.settings in PATIENT:
        for name in DATABASE_URLS & set(os.environ):
            os.environ[name] += PATIENCE
    if part.settings:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", part.settings)
        django.setup()


def start_servers(servers: Collection[str]) -> None:
    """Start what is needed of PostgreSQL, Kafka and Redis, and stop it at the end, unless it runs already."""
    if servers and "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        if not supervision.is_running(testing.layout()):
            atexit.register(stop_servers)
        os.environ.update(testing.ensure_infrastructure(servers=servers, short_lived=True))


def stop_servers() -> None:
    """Stop the servers, whatever else is asked for meanwhile."""
    with undisturbed():
        testing.stop_all()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Choose before any other conftest file is imported, on the real terminal: what is captured here shows too late."""
    if not {"-h", "--help", "--version", "-V"} & set(sys.argv):
        with pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            try:
                choose(sys.argv[1:])
            except KeyboardInterrupt:
                raise SystemExit(INTERRUPTED) from None


def pytest_configure(config: pytest.Config) -> None:
    """Show a waiting process where this one is."""
    progress.register_writer(config)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Empty tables our way; close the notifier's own connection before the test database is dropped."""
    from messaging.outbox import notifier
    from tests import emptying

    with django_db_blocker.unblock():
        emptying.install()
    yield
    notifier.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the counts for the combined summary."""
    counts = {name: len(terminalreporter.stats.get(name, ())) for name in OUTCOMES}
    failures = [report.nodeid for name in ("failed", "error") for report in terminalreporter.stats.get(name, ())]
    Result(counts, failures).leave()


def pytest_report_header() -> str:
    """Say under which settings the tests run."""
    return f"settings: {os.environ.get('DJANGO_SETTINGS_MODULE', 'without Django')}"
