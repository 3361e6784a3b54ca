"""The repository's Python files, read once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICE_APPS = ("order_app", "product_app", "coupon_app", "user_app")
#: What runs in production.
PRODUCTION = ("batchsql", "config", "contracts", "messaging", "money", "saga", "webapi", *SERVICE_APPS)
EVERYTHING = (*PRODUCTION, "stack", "docs", "bench", "models", "tests")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files(*folders: str) -> tuple[Path, ...]:
    """Return the Python files in these folders of the repository, without migrations."""
    found = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return tuple(path for path in found if "migrations" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    """Return the nodes of a file that are of one of `kinds`."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, kinds))


def functions(path: Path) -> Iterator[Function]:
    """Return the functions and methods of a file."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, Function))


def length(function: Function) -> int:
    """Return the lines of a function, its docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def place(path: Path, node: ast.AST | None = None) -> str:
    """Return where something is, for messages."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
