"""What is written by hand: links and citations lead somewhere, and the READMEs show real code and the same commands."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import EVERYTHING, ROOT, SERVICE_APPS, files, place

DECISIONS = ROOT / "docs" / "decisions"
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / app / "README.md" for app in SERVICE_APPS),
]

#: A document that a docstring, a comment or a message cites, and the heading in it: `docs/x.md`, "Heading".
CITED = re.compile(r"\b((?:docs|bench|deploy|\w+_app)/[\w./-]+\.md)(?:`?,? \"([^\"]+)\")?")
#: Most words of a landing page.
LANDING_WORDS = 900
#: Longest line of hand-written documentation; tables, code, headings and a link alone may be longer.
LINE = 100


@cache
def headings(path: Path) -> frozenset[str]:
    """Return the headings of a document, without their marks."""
    found = re.findall(r"(?m)^#+ (.+)$", path.read_text(encoding="utf-8"))
    return frozenset(heading.replace("`", "") for heading in found)


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


def words_of(path: Path) -> Iterator[str]:
    """Return the comments and strings of a Python file, each on one line."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                yield " ".join(token.string.split())


def uncited(words: str) -> list[str]:
    """Return the documents, or headings of one, that `words` cite and that do not exist."""
    cited = [(ROOT / name, heading) for name, heading in CITED.findall(words)]
    missing = [str(path) for path, _ in cited if not path.exists()]
    lost = [heading for path, heading in cited if heading and path.exists() and heading not in headings(path)]
    return [*missing, *lost, *re.findall(r"\b(?:DESIGN|SAGA|HOUSE|STYLE)(?:\.md|\b)`? ?§ ?\d", words)]


@pytest.mark.parametrize("folder", EVERYTHING)
def test_every_document_that_code_cites_exists(folder: str) -> None:
    citing = [path for path in files(folder) if path != Path(__file__)]
    lost = [(place(path), each) for path in citing for words in words_of(path) for each in uncited(words)]

    assert not lost


@pytest.mark.parametrize(
    "words",
    [
        "see docs/explanation/nothing.md",
        '(`docs/explanation/saga.md`, "No such heading")',
        "as DESIGN §4 says",
        "(`SAGA.md` §4)",
    ],
)
def test_a_citation_that_leads_nowhere_would_be_seen(words: str) -> None:
    assert uncited(words)
    assert not uncited('(`docs/explanation/saga.md`, "A database restored from a backup")')


def definitions(source: str) -> dict[str, str]:
    """Return the classes and functions of Python source by name, without docstrings; `...` for a body left out."""
    tree = ast.parse(source)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return {node.name: ast.unparse(_bare(node)) for node in found}


def _bare(node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
    node.body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return node


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_code_of_a_landing_page_is_our_code(name: str) -> None:
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)
    parts = re.findall(r"# (\S+\.py)\n(.*?)(?=\n# |\Z)", block, re.S)

    assert len(parts) == 3
    for file, shown in parts:
        real = definitions((ROOT / file).read_text(encoding="utf-8"))
        for each, text in definitions(shown).items():
            assert real[each].startswith(text.removesuffix("...").rstrip()), f"{file}: {each}"


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_a_landing_page_is_short_and_has_its_pictures(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert len(text.split()) <= LANDING_WORDS
    assert not [each for each in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text) if not (ROOT / each).exists()]


def too_long(text: str) -> list[str]:
    """Return the lines of prose that are longer than a document's lines may be."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```|^<!-- generated.*?<!-- end[^\n]*", "", text)
    lines = [line for line in prose.splitlines() if not line.lstrip().startswith(("|", "#", "<!--"))]
    return [line for line in lines if len(line) > LINE and " " in line.strip()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_wrap_at_a_hundred_columns(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.startswith("<!-- Generated") or not too_long(text)
