"""What `messaging` offers to the services, and that they use nothing else of it."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

import pytest

import messaging
from messaging import testing
from tests.architecture.sources import ROOT, SERVICE_APPS, files, nodes, place

#: Beside the names of `messaging` itself: its base for admin pages is a part that a service may put to use.
OTHER_PUBLIC_MODULES = {"messaging.admin"}


@pytest.mark.parametrize("name", [each for each in messaging.__all__ if each != "event_recorded"])
def test_a_public_name_is_documented_in_its_own_words(name: str) -> None:
    documented = getattr(messaging, name)
    inherited = getattr(documented, "__mro__", [None, None])[1]

    assert inspect.getdoc(documented)
    assert inherited is None or documented.__doc__ != inherited.__doc__


@pytest.mark.parametrize("module", [messaging, testing], ids=lambda module: module.__name__)
def test_public_names_exist_once_each(module: ModuleType) -> None:
    assert len(module.__all__) == len(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("name", testing.__all__)
def test_a_name_for_the_tests_of_services_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(testing, name))
    assert f"`{name}" in (ROOT / "docs/howto/test-a-handler.md").read_text() or name == "CrashPoint"


def test_errors_are_one_tree_that_says_what_is_retryable() -> None:
    errors = [getattr(messaging, name) for name in messaging.__all__ if name.endswith("Error") or name == "DeadLetter"]

    assert errors
    assert all(issubclass(error, messaging.MessagingError) and isinstance(error.retryable, bool) for error in errors)


@pytest.mark.parametrize("app", SERVICE_APPS)
def test_an_app_imports_only_the_public_names(app: str) -> None:
    internal = [
        place(path, node)
        for path in files(app)
        for node in nodes(path, ast.ImportFrom)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("messaging.")
        and node.module not in OTHER_PUBLIC_MODULES
    ]
    unknown = [
        f"{place(path, node)} {alias.name}"
        for path in files(app)
        for node in nodes(path, ast.ImportFrom)
        if isinstance(node, ast.ImportFrom) and node.module == "messaging"
        for alias in node.names
        if alias.name not in messaging.__all__
    ]

    assert not internal
    assert not unknown
