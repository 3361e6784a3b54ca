"""The generated documentation is what the code says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.env import VARIABLES
from config.topology import SERVICES, TOPICS
from docs.generate.pages import render, stale, with_part
from messaging.event import all_specs
from tests.architecture.sources import ROOT

GENERATED = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def pages() -> dict[Path, str]:
    return render()


def test_no_generated_file_is_stale(pages: dict[Path, str]) -> None:
    assert not [str(path.relative_to(ROOT)) for path in stale(pages)], "run `make docs`"


def test_a_changed_file_would_be_seen(pages: dict[Path, str]) -> None:
    path = GENERATED / "saga.md"

    assert stale({path: pages[path].replace("COMPENSATED", "DONE", 1)}) == [path]


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_is_documented(pages: dict[Path, str], variable) -> None:  # type: ignore[no-untyped-def]
    row = next(line for line in pages[GENERATED / "settings.md"].splitlines() if f"| `{variable.name}` |" in line)

    assert " ".join(variable.meaning.split()) in row


def test_every_event_topic_and_service_is_on_the_flow_page(pages: dict[Path, str]) -> None:
    text = pages[GENERATED / "flow.md"]
    declared = [spec.type for spec in all_specs() if spec.cls.__module__.startswith("contracts.")]

    assert not [each for each in [*declared, *TOPICS] if f"`{each}`" not in text]
    assert not [name for name in SERVICES if f"### {name}\n" not in text]


def test_every_event_is_handled_by_somebody(pages: dict[Path, str]) -> None:
    rows = [line for line in pages[GENERATED / "flow.md"].splitlines() if line.startswith("| `") and ".v1` |" in line]

    assert rows
    assert not [row for row in rows if row.endswith("| – |")]


def test_a_part_between_markers_is_replaced_and_the_rest_is_kept() -> None:
    once = with_part("# Title\n\nWords.\n", "part", "old")
    twice = with_part(once.replace("Words.", "Other words."), "part", "new")

    assert "old" in once
    assert "old" not in twice
    assert twice.startswith("# Title\n\nOther words.\n")
    assert with_part(twice, "part", "new") == twice
