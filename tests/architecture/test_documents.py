"""What is written by hand: links lead somewhere, decisions are numbered, both READMEs show the same commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, SERVICE_APPS

DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / app / "README.md" for app in SERVICE_APPS),
]


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of one language, without comments."""
    found = re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.S)
    return [re.sub(r"(?m)(^|\s+)# .*$", "", block) for block in found]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))

    assert not [link for link in links if not (path.parent / link).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_and_tables_are_closed(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("```") % 2 == 0


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    pages = sorted(path.name for path in DECISIONS.glob("0*.md"))
    listed = re.findall(r"\]\((0\d{3}-[^)]+)\)", (DECISIONS / "README.md").read_text())

    assert [name[:4] for name in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    assert listed == pages


def test_every_decision_says_what_was_rejected() -> None:
    pages = {path.name: path.read_text() for path in DECISIONS.glob("0*.md")}

    assert not [name for name, text in pages.items() if "**Decided.**" not in text or "**Rejected.**" not in text]


@pytest.mark.parametrize("language", ["sh", "bash", "python"])
def test_both_readmes_have_the_same_commands(language: str) -> None:
    assert blocks(ROOT / "README.md", language) == blocks(ROOT / "README.ko.md", language)


def test_every_make_target_that_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        name for path in DOCUMENTS for name in re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", path.read_text(), re.M)
    }

    assert {first or second for first, second in named} <= targets
