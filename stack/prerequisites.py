"""Programs of the system (Java, Maven, Spin, compilers): found, installed if possible, else named with a command."""

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
#: Program, name and Debian package of what builds and runs the models (models/README.md).
MODEL_CHECKERS = (("spin", "Spin", "spin"), ("gcc", "gcc", "gcc"), ("g++", "g++", "g++"))
JAVA_PACKAGES = ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "openjdk-25-jre-headless")


def ensure(*, maven_too: bool) -> None:
    """Install what is missing of Java and, if wanted, Maven; StackError that names the command where that can't be."""
    missing = []
    if _find_java() is None:
        missing.append(("Java 17 or newer", _java_package()))
    if maven_too and shutil.which("mvn") is None:
        missing.append(("Maven", "maven"))
    if missing:
        _install(" and ".join(name for name, _ in missing), [package for _, package in missing])
    java()


def ensure_model_checkers() -> None:
    """Install what is missing of Spin and the compilers; StackError that names the command where that can't be."""
    missing = [(name, package) for program, name, package in MODEL_CHECKERS if shutil.which(program) is None]
    if missing:
        _install(" and ".join(name for name, _ in missing), [package for _, package in missing])


def java() -> str:
    """Return the path of a Java of version 17 or newer; StackError when there is none."""
    found = _find_java()
    if found is None:
        raise StackError("Java 17 or newer was installed but is not the one on the PATH: set JAVA_HOME to it.")
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
    tell(f"Installing {what}, which is missing: {' '.join(command)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    commands.run(["apt-get", "update"], environment=quiet)
    commands.run(command, environment=quiet)
    tell(f"{what} is installed.")
