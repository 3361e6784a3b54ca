"""The facts of the machine. A result has no meaning without them."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from stack.layout import ROOT
from stack.postgres import PROGRAMS

PACKAGES = (
    "Django",
    "celery",
    "kafka-python",
    "crc32c",
    "psycopg2-binary",
    "msgspec",
    "gunicorn",
    "djangorestframework",
)


def facts() -> dict[str, Any]:
    """Return cores, CPU model, memory, load and versions."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": _postgres(),
        "commit": _commit(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _postgres() -> str:
    return _output([str(PROGRAMS / "postgres"), "--version"]).rpartition(" ")[2]


def _commit() -> str:
    return _output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]) or "unknown"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
