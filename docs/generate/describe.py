"""Tells what one service is made of, as JSON on standard output. Runs in a process of its own, under its settings.

Needs no server: nothing is asked of a database or of Kafka.
"""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Action, ArgumentParser
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from config import env
from config.topology import SERVICES, Service

METHODS = ("get", "post", "put", "patch", "delete")


def describe(service: Service) -> dict[str, Any]:
    """Return what a service has: the variables that its settings read, handlers, timers, operations, commands."""
    variables = _variables_read(service)
    import django

    django.setup()
    return {
        "variables": variables,
        "handlers": _handlers(),
        "timers": [timer for package in ("messaging", "config", service.app) for timer in _timers(package)],
        "operations": _operations(),
        "commands": _commands(service),
    }


def _variables_read(service: Service) -> list[str]:
    read, names = env.read, []

    def noting_read(name: str, service: str = "") -> Any:
        names.append(name)
        return read(name, service)

    env.read = noting_read
    import_module(service.settings_module)
    return sorted(set(names))


def _handlers() -> list[dict[str, Any]]:
    from django.conf import settings

    from messaging.registry import all_handlers

    default = next(iter(settings.MESSAGING["GROUPS"]))
    return [
        {
            "name": handler.name,
            "types": handler.types,
            "group": handler.group or default,
            "batch": handler.batch,
            "replay": handler.replay,
            "on_exhausted": getattr(handler.on_exhausted, "__name__", ""),
            "doc": handler.function.__doc__ or "",
            "place": f"{handler.function.__module__}.{handler.function.__name__}",
        }
        for handler in all_handlers()
    ]


def _timers(package: str) -> list[dict[str, Any]]:
    if not find_spec(f"{package}.tasks"):
        return []
    schedule = getattr(import_module(f"{package}.tasks"), "BEAT_SCHEDULE", {})
    return [{"name": entry["task"], "every": _every(entry["schedule"])} for entry in schedule.values()]


def _every(schedule: Any) -> str:
    # Celery's crontab shows itself as "<crontab: 30 3 * * * (m/h/dM/MY/d)>".
    cron = re.match(r"<crontab: (.*) \(", str(schedule))
    return f"cron {cron[1]}" if cron else f"{schedule:g} s"


def _commands(service: Service) -> dict[str, dict[str, Any]]:
    from django.core.management import get_commands, load_command_class

    ours = {name: app for name, app in get_commands().items() if app in ("messaging", service.app)}
    return {name: _command(load_command_class(app, name)) for name, app in ours.items()}


def _command(command: Any) -> dict[str, Any]:
    parser = ArgumentParser(add_help=False)
    command.add_arguments(parser)
    return {"help": command.help, "arguments": [_argument(each) for each in parser._actions]}


def _argument(action: Action) -> dict[str, str]:
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    name = " ".join([*action.option_strings, str(value) if action.nargs != 0 else ""]).strip()
    return {"name": name, "help": action.help or ""}


def _operations() -> list[dict[str, Any]]:
    from drf_spectacular.generators import SchemaGenerator

    generator: Any = SchemaGenerator
    schema = generator().get_schema(request=None, public=True)
    return [
        _operation(method, path, operations[method], schema)
        for path, operations in schema["paths"].items()
        for method in METHODS
        if method in operations
    ]


def _operation(method: str, path: str, operation: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    parameters = operation.get("parameters", [])
    return {
        "method": method.upper(),
        "path": path,
        "what": operation.get("description", "") or operation.get("summary", ""),
        "token": bool(operation.get("security")) and {} not in operation["security"],
        "body": _fields(body, schema),
        "query": [each["name"] for each in parameters if each["in"] == "query"],
        "headers": [each["name"] for each in parameters if each["in"] == "header"],
        "answers": sorted(operation["responses"]),
    }


def _fields(body: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    name = body.get("$ref", "").rpartition("/")[2]
    found = schema["components"]["schemas"].get(name, body)
    required = found.get("required", [])
    properties = found.get("properties", {})
    wanted = [each for each in properties if not properties[each].get("readOnly")]
    return [each if each in required else f"{each}?" for each in wanted]


if __name__ == "__main__":
    chosen = SERVICES[sys.argv[1]]
    os.environ["DJANGO_SETTINGS_MODULE"] = chosen.settings_module
    sys.stdout.write(json.dumps(describe(chosen)))
