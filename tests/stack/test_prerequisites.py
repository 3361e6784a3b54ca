"""A missing program of the system is named at once, with the command that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import commands, prerequisites
from stack.errors import StackError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs; the caller is not root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 1000)
    return folder


def program(path: Path, output: str = "", code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}' >&2\nexit {code}\n")
    path.chmod(0o755)
    return path


def java(path: Path, version: str) -> str:
    return str(program(path, f'openjdk version "{version}" 2026-01-01'))


@pytest.mark.parametrize("version", ["17", "17.0.12", "21.0.1", "25-ea"])
def test_a_java_that_is_new_enough_is_used(path: Path, version: str) -> None:
    found = java(path / "java", version)

    prerequisites.ensure(maven_too=False)
    assert prerequisites.java() == found


@pytest.mark.parametrize("version", ["1.8.0_292", "11.0.20"])
def test_an_old_java_counts_as_missing(path: Path, version: str) -> None:
    java(path / "java", version)

    with pytest.raises(StackError) as refused:
        prerequisites.ensure(maven_too=False)

    command = "sudo apt-get install -y --no-install-recommends openjdk-17-jre-headless"
    assert str(refused.value) == f"Missing: Java 17 or newer. To install, on Debian or Ubuntu: {command}"


def test_the_java_of_java_home_comes_first_unless_it_is_too_old(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path, at_home = java(path / "java", "17"), java(tmp_path / "home" / "bin" / "java", "21")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert prerequisites.java() == at_home

    java(tmp_path / "home" / "bin" / "java", "11")
    assert prerequisites.java() == on_path


def test_a_java_that_does_not_run_counts_as_missing(path: Path) -> None:
    program(path / "java", 'openjdk version "21"', code=1)

    with pytest.raises(StackError, match="Missing: Java 17 or newer"):
        prerequisites.ensure(maven_too=False)


def test_maven_is_asked_for_only_when_the_jars_are_not_there_yet(path: Path) -> None:
    java(path / "java", "17")

    prerequisites.ensure(maven_too=False)
    with pytest.raises(StackError, match=r"^Missing: Maven\. .* --no-install-recommends maven$"):
        prerequisites.ensure(maven_too=True)


def test_both_missing_are_named_together_with_one_command(path: Path) -> None:
    with pytest.raises(StackError, match=r"^Missing: Java 17 or newer and Maven\. .* openjdk-17-jre-headless maven$"):
        prerequisites.ensure(maven_too=True)


def test_the_oldest_java_package_that_the_distribution_has_is_named(path: Path) -> None:
    program(path / "apt-cache", code=1).write_text('#!/bin/sh\n[ "$2" = openjdk-21-jre-headless ]\n')

    with pytest.raises(StackError, match="openjdk-21-jre-headless$"):
        prerequisites.ensure(maven_too=False)


def test_root_installs_what_is_missing_and_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def install(command: list[str], **_: object) -> str:
        ran.append(command)
        java(path / "java", "17")
        return ""

    program(path / "apt-get")
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 0)
    monkeypatch.setattr(commands, "run", install)

    prerequisites.ensure(maven_too=False)

    assert [command[1] for command in ran] == ["update", "install"]
    assert ran[1][-1] == "openjdk-17-jre-headless"
    assert "Java 17 or newer is missing. Installing it: apt-get install" in capsys.readouterr().err


def test_a_java_that_is_installed_but_not_found_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path / "apt-get")
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 0)
    monkeypatch.setattr(commands, "run", lambda command, **_: "")

    with pytest.raises(StackError, match="set JAVA_HOME"):
        prerequisites.ensure(maven_too=False)


def test_missing_checkers_of_the_models_are_named_with_one_command(path: Path) -> None:
    program(path / "gcc")

    with pytest.raises(StackError, match=r"^Missing: Spin and g\+\+\. .* --no-install-recommends spin g\+\+$"):
        prerequisites.ensure_model_checkers()


def test_root_installs_only_the_checkers_that_are_missing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    for name in ("gcc", "g++", "apt-get"):
        program(path / name)
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 0)
    monkeypatch.setattr(commands, "run", lambda command, **_: ran.append(command))

    prerequisites.ensure_model_checkers()
    assert ran[1][-2:] == ["--no-install-recommends", "spin"]

    program(path / "spin")
    prerequisites.ensure_model_checkers()
    assert len(ran) == 2
