"""The parts of the test suite: each service's tests run under its own settings, so each in a process of its own.

`pytest tests/order/…` runs in the process at hand, under the order service's settings. `pytest` from the root, or with
paths of several parts, runs one process after the other and ends with one combined summary.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Where a part's process leaves its counts for the combined summary.
REPORT = "TEST_PARTS_REPORT"
#: pytest's options whose value stands in the next argument: `-k messaging` does not mean the folder of that name.
WITH_VALUE = (
    *("-k", "-m", "-p", "-c", "-o", "-n", "-W", "-r", "--tb", "--capture", "--maxfail", "--durations", "--import-mode"),
    *("--deselect", "--ignore", "--ignore-glob", "--rootdir", "--confcutdir", "--basetemp", "--override-ini"),
    *("--junitxml", "--junit-xml", "--log-file", "--log-level", "--log-cli-level"),
)


@dataclass(frozen=True)
class Part:
    """Folders that share a process: its settings module, and whether it needs PostgreSQL and Kafka."""

    name: str
    folders: tuple[str, ...]
    settings: str | None = None
    infrastructure: bool = True


PARTS = (
    Part(
        "plain",
        ("tests/contracts", "tests/architecture", "tests/config", "tests/models", "tests/stack"),
        infrastructure=False,
    ),
    Part("messaging", ("tests/messaging",), "tests.messaging.settings"),
    Part("messaging-admin", ("tests/messaging_admin",), "tests.messaging_admin.settings"),
    Part("user", ("tests/user", "tests/webapi"), "config.settings.user"),
    Part("product", ("tests/product",), "config.settings.product"),
    Part("coupon", ("tests/coupon",), "config.settings.coupon"),
    Part("order", ("tests/order",), "config.settings.order"),
    Part("journeys", ("tests/journeys",)),
    Part("faults", ("tests/faults",)),
)


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the arguments that name files or folders to test, and the others."""
    paths: list[str] = []
    options: list[str] = []
    for before, each in zip(["", *arguments], arguments, strict=False):
        is_path = before not in WITH_VALUE and not each.startswith("-") and _is_path(each.split("::")[0])
        (paths if is_path else options).append(each)
    return paths, options


def _is_path(text: str) -> bool:
    return Path(text).exists() or text.endswith(".py")  # a file that is not there is pytest's to complain of


def parts_of(paths: list[str]) -> dict[Part, list[str]]:
    """Return which part each path belongs to; a path above several parts counts for all of them."""
    wanted = [Path(path.split("::")[0]).resolve() for path in paths] or [ROOT]
    chosen: dict[Part, list[str]] = {}
    for part in PARTS:
        for folder in (ROOT / name for name in part.folders):
            for path, given in zip(wanted, paths or [str(ROOT)], strict=True):
                if path == folder or folder in path.parents:
                    chosen.setdefault(part, []).append(given)
                elif path in folder.parents and folder.exists():
                    chosen.setdefault(part, []).append(str(folder.relative_to(ROOT)))
    return chosen


def run_all(chosen: dict[Part, list[str]], options: list[str]) -> int:
    """Run each part in a process of its own, print one summary, and return pytest's exit code."""
    started = time.monotonic()
    totals: Counter[str] = Counter()
    failures: list[str] = []
    codes: list[int] = []
    for part, paths in chosen.items():
        print(f"\n######## {part.name}: {' '.join(paths)}", flush=True)  # noqa: T201
        code, report = _run(paths, options)
        totals.update(report.get("counts", {}))
        failures += report.get("failures", [])
        codes.append(code)
        if code not in (0, 5) and ("-x" in options or "--exitfirst" in options):
            break
    _summarise(totals, failures, time.monotonic() - started)
    bad = [code for code in codes if code not in (0, 5)]
    return bad[0] if bad else (0 if sum(totals.values()) else 5)


def _run(paths: list[str], options: list[str]) -> tuple[int, dict]:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        environment = {**os.environ, REPORT: str(report)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *paths], env=environment, cwd=ROOT, check=False
        )
        return done.returncode, json.loads(report.read_text()) if report.exists() else {}


def _summarise(totals: Counter[str], failures: list[str], seconds: float) -> None:
    words = [
        f"{totals[name]} {name}"
        for name in ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
        if totals[name]
    ]
    lines = [f"FAILED {failure}" for failure in failures]
    lines.append(f" {', '.join(words) or 'no tests ran'} in {seconds:.2f}s ".center(80, "="))
    print("\n".join(["", *lines]), flush=True)  # noqa: T201
