"""Chooses the settings of the part that is tested, and runs several parts in a process each (tests/parts.py).

This happens as soon as pytest knows this file: the parts' own conftest files import models, and need the settings by
then.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from stack import testing
from tests.parts import REPORT, parts_of, run_all, split

OUTCOMES = ("passed", "failed", "skipped", "xfailed", "xpassed", "error")


def choose(arguments: list[str]) -> None:
    """Run several parts and exit, or prepare this process for the one part that is asked for."""
    paths, options = split(arguments)
    chosen = parts_of(paths)
    if any(part.infrastructure for part in chosen):
        start_servers()
    if len(chosen) > 1:
        raise SystemExit(run_all(chosen, options))
    for part in chosen:
        if part.settings:
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", part.settings)
            django.setup()


def start_servers() -> None:
    """Start PostgreSQL and Kafka, unless the environment names some; they end when this process does."""
    if "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        os.environ.update(testing.ensure_infrastructure())
        atexit.register(testing.stop_all)


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Choose before any other conftest file is imported, on the real terminal: what is captured here shows too late."""
    if not {"-h", "--help", "--version", "-V"} & set(sys.argv):
        with pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            choose(sys.argv[1:])


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """Close the wake's own connection before the test database is dropped."""
    from messaging.outbox import notifier

    yield
    notifier.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave the counts for the combined summary."""
    if REPORT not in os.environ:
        return
    counts = {name: len(terminalreporter.stats.get(name, ())) for name in OUTCOMES}
    failures = [report.nodeid for name in ("failed", "error") for report in terminalreporter.stats.get(name, ())]
    Path(os.environ[REPORT]).write_text(json.dumps({"counts": counts, "failures": failures}))


def pytest_report_header() -> str:
    """Say under which settings the tests run."""
    return f"settings: {os.environ.get('DJANGO_SETTINGS_MODULE', 'without Django')}"
