"""Chosen requirements are pinned, and what is pinned was chosen."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import ROOT

OWNERS_CHOICE = {"django", "djangorestframework", "celery", "kafka-python", "psycopg2-binary"}


def chosen(name: str) -> dict[str, Requirement]:
    """Return the requirements of an .in file, by name."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    requirements = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {canonicalize_name(each.name): each for each in requirements}


def pinned(name: str) -> dict[str, str]:
    """Return the versions of a .txt file, by name; a line that pins nothing has an empty one."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if re.match("[a-zA-Z]", line)]
    pairs = [line.partition(";")[0].partition("#")[0].partition("==") for line in lines]
    return {canonicalize_name(re.sub(r"\[.*", "", package).strip()): version.strip() for package, _, version in pairs}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_everything_that_was_chosen_is_pinned_to_a_version_that_fits(name: str) -> None:
    versions = pinned(f"{name}.txt")
    wanted = chosen(f"{name}.in")

    assert set(wanted) <= set(versions)
    assert not [each for each, version in versions.items() if not version]
    assert not [each for each, wish in wanted.items() if not wish.specifier.contains(versions[each])]


def test_whatever_pip_compile_calls_chosen_is_chosen() -> None:
    text = (ROOT / "requirements.txt").read_text()
    called = re.findall(r"^([\w.-]+)==\S+\n(?:    # (?:via)?.*\n)*?    # (?:via |  )-r requirements\.in", text, re.M)

    assert {canonicalize_name(each) for each in called} == set(chosen("requirements.in"))


def test_development_runs_on_the_same_versions_as_production() -> None:
    development = pinned("requirements-dev.txt")

    assert pinned("requirements.txt").items() <= development.items()


def test_the_owners_packages_are_there_and_kafka_comes_with_the_fast_checksum() -> None:
    wanted = chosen("requirements.in")

    assert set(wanted) >= OWNERS_CHOICE
    assert "crc32c" in wanted["kafka-python"].extras
