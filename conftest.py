"""Chooses the settings of the part that is tested, and runs several parts in a process each (tests/parts.py).

This happens while this file is imported: the parts' own conftest files import models, and need the settings by then.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.parts import REPORT, Part, parts_of, paths_in, run_all

OUTCOMES = ("passed", "failed", "skipped", "xfailed", "xpassed", "error")


def choose(arguments: list[str]) -> None:
    """Run several parts and exit, or prepare this process for the one part that is asked for."""
    paths = paths_in(arguments)
    chosen = parts_of(paths)
    if len(chosen) > 1:
        raise SystemExit(run_all(chosen, [each for each in arguments if each not in paths]))
    for part in chosen:
        prepare(part)


def prepare(part: Part) -> None:
    """Set the part's settings, on real servers, which are started when they are not there yet."""
    if part.infrastructure and "KAFKA_BOOTSTRAP_SERVERS" not in os.environ:
        from stack.testing import ensure_infrastructure

        os.environ.update(ensure_infrastructure())
    if part.settings:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", part.settings)
        import django

        django.setup()


if not {"-h", "--help", "--version", "-V"} & set(sys.argv):
    choose(sys.argv[1:])


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
