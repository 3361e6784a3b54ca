"""The parts of the test suite: each service's tests run under its own settings, so each in a process of its own.

`pytest tests/order/…` runs in the process at hand, under the order service's settings. Paths of several parts run one
process after the other (tests/in_turn.py); those of several lanes side by side (tests/side_by_side.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from config.topology import SERVICES

ROOT = Path(__file__).resolve().parent.parent
#: pytest's options whose value stands in the next argument: `-k messaging` does not mean the folder of that name.
WITH_VALUE = (
    *("-k", "-m", "-p", "-c", "-o", "-n", "-W", "-r", "--tb", "--capture", "--maxfail", "--durations", "--import-mode"),
    *("--deselect", "--ignore", "--ignore-glob", "--rootdir", "--confcutdir", "--basetemp", "--override-ini"),
    *("--junitxml", "--junit-xml", "--log-file", "--log-level", "--log-cli-level"),
)
EVERY_SERVER = (*(f"postgres-{name}" for name in SERVICES), "kafka", "redis")


@dataclass(frozen=True)
class Part:
    """Folders that share a process: its settings module, and the servers that it needs."""

    name: str
    folders: tuple[str, ...]
    settings: str | None = None
    servers: tuple[str, ...] = ()


PARTS = (
    Part(
        "plain",
        (
            "tests/contracts",
            "tests/money",
            "tests/saga",
            "tests/batchsql",
            "tests/architecture",
            "tests/config",
            "tests/models",
            "tests/stack",
        ),
    ),
    Part("messaging", ("tests/messaging",), "tests.messaging.settings", ("postgres-product", "kafka", "redis")),
    Part("messaging-admin", ("tests/messaging_admin",), "tests.messaging_admin.settings", ("postgres-product",)),
    Part("user", ("tests/user", "tests/webapi"), "config.settings.user", ("postgres-user", "redis")),
    Part("product", ("tests/product",), "config.settings.product", ("postgres-product",)),
    Part("coupon", ("tests/coupon",), "config.settings.coupon", ("postgres-coupon",)),
    Part("order", ("tests/order",), "config.settings.order", ("postgres-order",)),
    Part("journeys", ("tests/journeys",), servers=EVERY_SERVER),
    Part("faults", ("tests/faults",), servers=EVERY_SERVER),
)


def servers_of(parts: Iterable[Part]) -> set[str]:
    """Return the servers that these parts need together."""
    return {server for part in parts for server in part.servers}


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
