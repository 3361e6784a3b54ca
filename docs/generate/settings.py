"""The page of settings: every environment variable, and every key of Django's MESSAGING."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, Field, fields

from config.env import REQUIRED, VARIABLES, Variable
from docs.generate.markdown import code, page, section, table
from docs.generate.services import Described
from messaging.conf import MessagingSettings

TYPES = {
    "positive": "whole number above 0",
    "not_negative": "whole number from 0",
    "flag": "true or false",
    "words": "list, with commas",
    "servers": "host:port, with commas",
    "postgres": "URL",
    "read": "URL",
    "pem": "PEM",
    "str": "text",
}


def settings_page(described: Described) -> str:
    """Return docs/reference/settings.md."""
    return page(
        "Settings",
        "Read from `config/env.py`, the only place that reads the environment, and from `messaging/conf.py`.",
        section(
            "Environment variables",
            "`{SERVICE}` stands for the service's name in capitals: `ORDER_DATABASE_URL`. A value that is missing "
            "and has no default, or not of its type, stops the start with a message that names the variable.",
            table(("variable", "type", "default", "read by", "meaning"), [_row(each, described) for each in VARIABLES]),
        ),
        section(
            "Django's MESSAGING",
            "A key that `config/settings/base.py` leaves out has its default. An unknown key stops the start.",
            table(("key", "default", "meaning"), [_messaging_row(each) for each in fields(MessagingSettings)]),
        ),
    )


def _row(variable: Variable, described: Described) -> tuple[str, ...]:
    readers = [service for service, description in described.items() if variable.name in description["variables"]]
    who = "every service" if len(readers) == len(described) else ", ".join(readers)
    kind = TYPES.get(variable.read.__name__, variable.read.__name__)
    return code(variable.name), kind, _default(variable.default), who, variable.meaning


def _default(value: object) -> str:
    if value is REQUIRED:
        return "**required**"
    if isinstance(value, list):
        return code(",".join(value))
    return code(str(value).lower() if isinstance(value, bool) else str(value)) if value != "" else "empty"


def _messaging_row(field: Field[object]) -> tuple[str, ...]:
    if field.default is not MISSING:
        default = code(str(field.default))
    else:
        default = "empty" if field.default_factory is not MISSING else "**required**"
    return code(field.name.upper()), default, _meanings()[field.name]


def _meanings() -> dict[str, str]:
    """The comments above the fields; a comment counts for the fields that follow it up to the next one."""
    meanings, comment, ended = {}, "", True
    for line in inspect.getsource(MessagingSettings).splitlines():
        if text := re.match(r"\s*#: (.*)", line):
            comment, ended = (text[1] if ended else f"{comment} {text[1]}"), False
        elif name := re.match(r"    (\w+):", line):
            meanings[name[1]], ended = comment, True
    return meanings
