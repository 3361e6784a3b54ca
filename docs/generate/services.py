"""What each service is made of, asked of a process of its own: two services never share one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from config.env import REQUIRED, VARIABLES
from config.topology import SERVICES, Service

ROOT = Path(__file__).resolve().parent.parent.parent
USER_ONLY = ("USER_SIGNING_KEY", "USER_RETIRED_PUBLIC_KEYS")
#: For every variable without a default, something of its type. Nothing listens there.
PLACEHOLDERS = {
    "{SERVICE}_DATABASE_URL": "postgres://nobody:nothing@127.0.0.1:1/nothing",
    "{SERVICE}_SECRET_KEY": "only to load the settings, never to run a service with",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "USER_SIGNING_KEY": "none",
}

Described = dict[str, dict[str, Any]]


def required_variables(service: Service) -> dict[str, str]:
    """Return the variables that `service` can't start without, each with a placeholder."""
    names = [variable.name for variable in VARIABLES if variable.default is REQUIRED]
    own = [name for name in names if service.name == "user" or name not in USER_ONLY]
    return {name.replace("{SERVICE}", service.name.upper()): PLACEHOLDERS[name] for name in own}


def run_python(arguments: Iterable[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Python in the root of the repository with these variables, and of the caller's only PATH."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PATH": os.environ.get("PATH", ""), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def describe_all() -> Described:
    """Return the description of every service, by its name; RuntimeError when one can't be loaded."""
    with ThreadPoolExecutor() as pool:
        return dict(zip(SERVICES, pool.map(_describe, SERVICES.values()), strict=True))


def _describe(service: Service) -> dict[str, Any]:
    done = run_python(["-m", "docs.generate.describe", service.name], required_variables(service))
    if done.returncode != 0:
        raise RuntimeError(f"the {service.name} service can't be loaded:\n{done.stderr}")
    described: dict[str, Any] = json.loads(done.stdout)
    return described
