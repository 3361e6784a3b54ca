"""Finds programs of the system (Java, Maven, Spin, compilers), or installs them, or says how to install them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from stack import commands
from stack.errors import StackError
from stack.progress import tell

JAVA_LEAST = 17
#: Program, name and Debian package of the tools that build and run the models (models/README.md).
MODEL_CHECKERS = (("spin", "Spin", "spin"), ("gcc", "gcc", "gcc"), ("g++", "g++", "g++"))
JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "openjdk-25-jre-headless")


def ensure(*, maven_too: bool) -> None:
    """Install missing Java and, if wanted, Maven. If that is impossible: StackError with the command to run."""
    missing = []
    if _find_java() is None:
        missing.append(("Java 17 or newer", _java_package()))
    if maven_too and shutil.which("mvn") is None:
        missing.append(("Maven", "maven"))
    if missing:
        _install(" and ".join(name for name, _ in missing), [package for _, package in missing])
    java()


def ensure_model_checkers() -> None:
    """Install missing Spin and compilers. If that is impossible: StackError with the command to run."""
    missing = [(name, package) for program, name, package in MODEL_CHECKERS if shutil.which(program) is None]
    if missing:
        _install(" and ".join(name for name, _ in missing), [package for _, package in missing])


def pooler() -> str:
    """Return the path of PgBouncer, installed if it is missing. If that is impossible: StackError with the command."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if shutil.which("pgbouncer", path=path) is None:
        _install("PgBouncer", ["pgbouncer"])
    return str(shutil.which("pgbouncer", path=path))


def java() -> str:
    """Return the path of Java 17 or newer; StackError if there is none."""
    found = _find_java()
    if found is None:
        raise StackError("Java 17 or newer was installed but the PATH has another Java: set JAVA_HOME to the new one.")
    return found


def _find_java() -> str | None:
    candidates = [shutil.which("java")]
    if home := os.environ.get("JAVA_HOME"):
        candidates.insert(0, str(Path(home) / "bin" / "java"))
    for candidate in candidates:
        if candidate and _java_version(candidate) >= JAVA_LEAST:
            return candidate
    return None


def _java_version(path: str) -> int:
    try:
        output = subprocess.run([path, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(match[1]) if match else 0


def _java_package() -> str:
    if shutil.which("apt-cache") is None:
        return JAVA_PACKAGES[0]
    for package in JAVA_PACKAGES:
        if subprocess.run(["apt-cache", "show", package], check=False, capture_output=True).returncode == 0:
            return package
    return JAVA_PACKAGES[0]


def _install(what: str, packages: list[str]) -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StackError(f"Missing: {what}. To install, on Debian or Ubuntu: sudo {' '.join(command)}")
    tell(f"{what} is missing. Installing it: {' '.join(command)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    commands.run(["apt-get", "update"], environment=quiet)
    commands.run(command, environment=quiet)
    tell(f"{what} is installed.")
