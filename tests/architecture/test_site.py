"""The documentation site: every link and anchor leads somewhere, and nothing comes from another host."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

#: What a page loads by itself, as opposed to links that a reader follows.
LOADED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src=["']?(https?:[^"'> ]+)|<link[^>]+stylesheet[^>]+(https?:[^"'> ]+)"""
)


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site in strict mode; not quietly: mkdocs counts only the warnings that it shows."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    return subprocess.run(
        [*command, "--site-dir", str(site)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_strict_build_passes_and_has_every_page(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    built = [each.with_name("index.md") if each.name == "README.md" else each for each in pages]

    assert not [
        str(each) for each in built if each.parts[0] != "assets" and not (site / each.with_suffix(".html")).exists()
    ]


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = {match for path in site.rglob("*.html") for match in LOADED.findall(path.read_text(encoding="utf-8"))}

    assert not loaded


def test_every_page_with_a_diagram_has_its_own_mermaid(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if 'class="mermaid"' in path.read_text(encoding="utf-8")]

    assert pages
    assert not [path.name for path in pages if "assets/mermaid.tiny.js" not in path.read_text(encoding="utf-8")]


def test_mermaid_is_the_published_file() -> None:
    found = hashlib.sha256((ROOT / "docs" / "assets" / "mermaid.tiny.js").read_bytes()).hexdigest()

    assert found in (ROOT / "docs" / "assets" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", ["no-such-page.md", "explanation/guarantees.md#no-such-heading"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str) -> None:
    pages = tmp_path / "docs" / "explanation"
    pages.mkdir(parents=True)
    (tmp_path / "docs" / "README.md").write_text(f"# Map\n\n[somewhere]({link})\n")
    shutil.copy(ROOT / "docs" / "reference" / "glossary.md", pages / "guarantees.md")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    config = tmp_path / "mkdocs.yml"
    config.write_text(text.partition("\nnav:")[0].replace("omitted_files: warn", "omitted_files: ignore"))

    done = build(config, tmp_path / "site")

    assert done.returncode != 0
    assert link.partition("#")[2] in done.stderr and link.partition("#")[0] in done.stderr
