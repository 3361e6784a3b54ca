"""The variables of the stack: those that the caller sets, those of the env file, those of each service."""

from __future__ import annotations

import os
from collections.abc import Mapping

from config.env import VARIABLES
from config.topology import SERVICES, Service
from stack.layout import DEFAULT_DIRECTORY, Layout, write_private
from stack.ports import HOST
from stack.state import State

OPERATOR = "operator"
PARTITIONS = 4
USER_ONLY = ("USER_SIGNING_KEY", "USER_RETIRED_PUBLIC_KEYS")
REPLACEABLE = (*(f"{name.upper()}_DATABASE_URL" for name in SERVICES), "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL")


def replaced(layout: Layout) -> dict[str, str]:
    """Return the parts that the caller's environment replaces.

    A value from a stack's own env file does not count, so that a shell which has read it can start a stack.
    """
    given = {name: os.environ[name] for name in REPLACEABLE if os.environ.get(name)}
    own = {value for place in {layout, Layout(DEFAULT_DIRECTORY)} for value in State.load(place).addresses.values()}
    return {name: value for name, value in given.items() if value not in own}


def addresses(state: State) -> dict[str, str]:
    """Return the addresses of the stack's own parts."""
    ports = state.ports
    found = {f"{name.upper()}_DATABASE_URL": _database_url(state, name) for name in SERVICES}
    brokers = [port for name, port in ports.items() if name.startswith("kafka") and not name.endswith("controller")]
    found["KAFKA_BOOTSTRAP_SERVERS"] = ",".join(f"{HOST}:{port}" for port in brokers)
    found["CELERY_BROKER_URL"] = f"redis://{HOST}:{ports['redis']}/0"
    return found | {f"{name.upper()}_URL": f"http://{HOST}:{ports[name]}" for name in SERVICES}


def _database_url(state: State, service: str) -> str:
    role = f"{service}_service"
    port = state.ports[f"postgres-{service}"]
    return f"postgres://{role}:{state.secret(f'{service} database')}@{HOST}:{port}/{role}"


def variables(state: State, replacements: Mapping[str, str], replication_factor: int) -> dict[str, str]:
    """Return the content of the env file."""
    keys = {f"{name.upper()}_SECRET_KEY": state.secret(f"{name} key") for name in SERVICES}
    return {
        **state.addresses,
        **replacements,
        **keys,
        "KAFKA_PARTITIONS": os.environ.get("KAFKA_PARTITIONS", str(PARTITIONS)),
        "KAFKA_REPLICATION_FACTOR": os.environ.get("KAFKA_REPLICATION_FACTOR", str(replication_factor)),
        # Everybody who tries the stack comes from one address.
        "ANONYMOUS_READS_PER_MINUTE": "60000",
        "REGISTRATIONS_PER_MINUTE": "6000",
        "USER_SIGNING_KEY": state.signing_key(),
        "OPERATOR_USERNAME": OPERATOR,
        "OPERATOR_PASSWORD": state.secret("operator"),
    }


def write(layout: Layout, values: Mapping[str, str]) -> None:
    """Write the env file. A shell (`set -a; . FILE`) and dotenv readers can read it.

    The signing key stays on one line with backslash n; config/env.py and dotenv readers turn this into newlines.
    """
    write_private(layout.env, "".join(f'{name}="{value}"\n' for name, value in values.items()))


def read(layout: Layout) -> dict[str, str]:
    """Return the variables of the env file."""
    pairs = (line.split("=", 1) for line in layout.env.read_text().splitlines())
    return {name: value.strip('"') for name, value in pairs}


def for_service(service: Service, values: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of one service's processes: its own, the caller's settings of it, then `extra`."""
    names = [variable.name.replace("{SERVICE}", service.name.upper()) for variable in VARIABLES]
    allowed = [name for name in names if service.name == "user" or name not in USER_ONLY]
    merged = {name: os.environ[name] for name in allowed if os.environ.get(name)}
    merged |= {name: values[name] for name in allowed if name in values}
    return merged | dict(extra) | {"DJANGO_SETTINGS_MODULE": service.settings_module, "PYTHONUNBUFFERED": "1"}
