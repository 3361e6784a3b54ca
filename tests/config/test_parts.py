"""The parts of the test suite: which part a path belongs to, which servers it needs, what is passed on to pytest."""

from __future__ import annotations

import pytest

from tests.parts import EVERY_SERVER, PARTS, ROOT, parts_of, servers_of, split

BY_NAME = {part.name: part for part in PARTS}


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def names(*paths: str) -> list[str]:
    return [part.name for part in parts_of(list(paths))]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("tests/order", "order"),
        ("tests/order/test_answers.py", "order"),
        ("tests/order/test_answers.py::test_something[a::b]", "order"),
        (str(ROOT / "tests" / "webapi"), "user"),
        ("tests/config/test_parts.py", "plain"),
        ("tests/messaging/", "messaging"),
        ("tests/journeys", "journeys"),
    ],
)
def test_a_path_belongs_to_the_part_with_its_folder(path: str, part: str) -> None:
    assert parts_of([path]) == {BY_NAME[part]: [path]}


@pytest.mark.parametrize("above", [(), ("tests",), (".",)], ids=str)
def test_a_path_above_several_parts_counts_for_all(above: tuple[str, ...]) -> None:
    chosen = parts_of(list(above))

    assert list(chosen) == list(PARTS)
    assert {folder for paths in chosen.values() for folder in paths} == {
        name for part in PARTS for name in part.folders
    }


def test_paths_of_two_parts_choose_both_each_with_its_own() -> None:
    chosen = parts_of(["tests/order/test_answers.py", "tests/product", "tests/order/test_copies.py"])

    assert chosen == {
        BY_NAME["product"]: ["tests/product"],
        BY_NAME["order"]: ["tests/order/test_answers.py", "tests/order/test_copies.py"],
    }


def test_a_path_outside_the_tests_belongs_to_no_part() -> None:
    assert names("config") == []


def test_every_folder_of_tests_belongs_to_one_part() -> None:
    folders = [folder for part in PARTS for folder in part.folders]
    present = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}

    assert present == set(folders)
    assert len(folders) == len(set(folders))


@pytest.mark.parametrize(
    ("arguments", "paths", "options"),
    [
        ([], [], []),
        (["-q", "tests/order", "-x"], ["tests/order"], ["-q", "-x"]),
        (["-k", "messaging"], [], ["-k", "messaging"]),
        (["-k", "stack", "tests/stack"], ["tests/stack"], ["-k", "stack"]),
        (["-m", "docs", "--maxfail", "1", "tests"], ["tests"], ["-m", "docs", "--maxfail", "1"]),
        (["-kstack", "--ignore=tests/order", "tests"], ["tests"], ["-kstack", "--ignore=tests/order"]),
        (["--ignore", "tests/order"], [], ["--ignore", "tests/order"]),
        (["-k", "tests", "tests"], ["tests"], ["-k", "tests"]),
        (["tests/order/test_gone.py::test_x", "-q"], ["tests/order/test_gone.py::test_x"], ["-q"]),
        (["--an-unknown-option", "17"], [], ["--an-unknown-option", "17"]),
    ],
)
def test_the_value_of_an_option_is_no_path(arguments: list[str], paths: list[str], options: list[str]) -> None:
    assert split(arguments) == (paths, options)


def test_a_part_starts_only_the_servers_that_it_needs() -> None:
    assert servers_of(parts_of(["tests/contracts"])) == set()
    assert servers_of(parts_of(["tests/order", "tests/contracts"])) == {"postgres-order"}
    assert servers_of(parts_of([])) == set(EVERY_SERVER)
