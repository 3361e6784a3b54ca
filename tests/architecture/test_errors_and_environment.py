"""Nothing is swallowed, and the environment is read in one place."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.sources import EVERYTHING, PRODUCTION, files, nodes, place


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    def is_nothing(each: ast.stmt) -> bool:
        return isinstance(each, ast.Pass) or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))

    return all(is_nothing(each) for each in handler.body)


@pytest.mark.parametrize(
    "code",
    ["try:\n    f()\nexcept E:\n    pass", "try:\n    f()\nexcept E:\n    ...", "try:\n    f()\nexcept E:\n    'x'"],
)
def test_the_check_below_sees_an_error_that_is_swallowed(code: str) -> None:
    handler = next(node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ExceptHandler))

    assert _does_nothing(handler)


def test_no_error_is_swallowed() -> None:
    swallowed = [
        place(path, node)
        for path in files(*EVERYTHING)
        for node in nodes(path, ast.ExceptHandler)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _does_nothing(node))
    ]

    assert not swallowed


def test_suppress_names_what_it_suppresses() -> None:
    broad = {"Exception", "BaseException"}
    suppressed = [
        place(path, node)
        for path in files(*EVERYTHING)
        for node in nodes(path, ast.Call)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("suppress")
        and broad & {ast.unparse(argument) for argument in node.args}
    ]

    assert not suppressed


def test_only_config_env_reads_the_environment() -> None:
    readers = {
        place(path).partition(":")[0]
        for path in files(*PRODUCTION)
        for node in nodes(path, ast.Attribute, ast.Name)
        if ast.unparse(node) in ("os.environ", "os.getenv", "environ", "getenv") and path.name != "env.py"
    }

    assert not readers


def test_nothing_prints_in_production() -> None:
    printed = [
        place(path, node)
        for path in files(*PRODUCTION)
        for node in nodes(path, ast.Call)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]

    assert not printed
