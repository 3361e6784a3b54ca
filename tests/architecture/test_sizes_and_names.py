"""Small functions, small files, and names that say what is inside."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from statistics import median

import pytest

from tests.architecture.sources import EVERYTHING, ROOT, SERVICE_APPS, files, functions, length, place, tree

VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base2", "shared", "tools"}
APP_FILES = {"apps.py", "models.py", "selectors.py", "handlers.py", "tasks.py", "admin.py", "README.md"}


def test_no_function_is_longer_than_50_lines() -> None:
    long = [place(path, each) for path in files(*EVERYTHING) for each in functions(path) if length(each) > 50]

    assert not long


def test_functions_are_mostly_short_and_rarely_over_25_lines() -> None:
    lengths = [length(each) for path in files(*EVERYTHING) for each in functions(path)]

    assert median(lengths) <= 10
    assert sum(each > 25 for each in lengths) / len(lengths) < 0.02


def test_no_file_is_longer_than_400_lines_and_few_than_250() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files(*EVERYTHING)}

    assert not [place(path) for path, lines in lengths.items() if lines > 400]
    assert sum(lines > 250 for lines in lengths.values()) / len(lengths) < 0.05


def test_no_module_has_a_name_that_could_hold_anything() -> None:
    vague = [path for path in files(*EVERYTHING) if VAGUE & {path.stem, path.parent.name}]

    assert not [place(path) for path in vague]


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in files(*EVERYTHING) if tree(path).body and not ast.get_docstring(tree(path))]

    assert not [place(path) for path in silent]


@pytest.mark.parametrize("app", SERVICE_APPS)
def test_every_app_has_the_same_files(app: str) -> None:
    present = {path.name for path in (ROOT / app).iterdir()}

    assert not APP_FILES - present
    assert {"domain", "services"} <= {Path(name).stem for name in present}
    assert {"urls.py", "views.py", "serializers.py"} <= {path.name for path in (ROOT / app / "api").iterdir()}


@pytest.mark.parametrize("app", SERVICE_APPS)
def test_handlers_are_short_and_named_after_what_they_handle(app: str) -> None:
    subscribed = [each for each in functions(ROOT / app / "handlers.py") if each.decorator_list]

    assert subscribed
    assert not [each.name for each in subscribed if not each.name.startswith("on_")]
    assert not [each.name for each in subscribed if length(each) > 10]


def test_tests_are_sentences() -> None:
    terse = [
        place(path, each)
        for path in files("tests")
        for each in functions(path)
        if each.name.startswith("test_") and len(re.findall("_", each.name)) < 3
    ]

    assert not terse
