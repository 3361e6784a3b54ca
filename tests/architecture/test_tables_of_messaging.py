"""No service reads or writes a table of `messaging` by itself: `messaging` offers what they need."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture.sources import PRODUCTION, ROOT, files, place

TABLES = re.findall(r'db_table = "(\w+)"', (ROOT / "messaging" / "models.py").read_text(encoding="utf-8"))


def tables_named(path: Path) -> list[str]:
    """Return the tables of `messaging` that a file names, each with its place."""
    text = path.read_text(encoding="utf-8")
    return [f"{place(path)} {table}" for table in TABLES if re.search(rf"\b{table}\b", text)]


def test_the_tables_of_messaging_are_found() -> None:
    assert {"messaging_inbox", "messaging_outbox", "messaging_consumer_position"} <= set(TABLES)
    assert tables_named(ROOT / "messaging" / "outbox" / "publish.py")


def test_no_service_names_a_table_of_messaging() -> None:
    others = [folder for folder in PRODUCTION if folder != "messaging"]

    assert not [found for path in files(*others) for found in tables_named(path)]
