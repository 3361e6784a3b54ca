"""The page of the commands of manage.py: ours, not Django's."""

from __future__ import annotations

from typing import Any

from docs.generate.markdown import code, page, section, table
from docs.generate.services import Described


def commands_page(described: Described) -> str:
    """Return docs/reference/commands.md."""
    return page(
        "Commands",
        "Read from the commands' own help. Run them as `manage.py <service> <command>`; Django's own commands "
        "(`migrate`, `check`, `createsuperuser`, …) work the same way.",
        *(_command(name, each, described) for name, each in _all(described).items()),
    )


def _all(described: Described) -> dict[str, dict[str, Any]]:
    found = {name: each for description in described.values() for name, each in description["commands"].items()}
    return dict(sorted(found.items()))


def _command(name: str, command: dict[str, Any], described: Described) -> str:
    having = [service for service, description in described.items() if name in description["commands"]]
    where = "Every service." if len(having) == len(described) else f"Only in: {', '.join(having)}."
    rows = [(code(each["name"]), each["help"]) for each in command["arguments"]]
    parts = [f"{' '.join(command['help'].split())} {where}"]
    return section(code(name), *parts, *([table(("argument", "meaning"), rows)] if rows else []))
