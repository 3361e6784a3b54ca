"""A request's charset, as an attacker may name it."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from webapi import database_waits
from webapi.charset import Application, read_as_utf8


@pytest.fixture
def application() -> Application:
    """The process's own, without the limits that come with it."""
    from config import wsgi

    database_waits.stop_limiting()
    return wsgi.application


def seen(content_type: str) -> str:
    """Return the content type that is left for Django."""
    found: list[str] = []
    read_as_utf8(lambda environ, _: found.append(environ["CONTENT_TYPE"]))({"CONTENT_TYPE": content_type}, None)
    return found[0]


@pytest.mark.parametrize("charset", ["rot13", "zlib", "hex", "idna", "undefined", '"rot13"', "utf-16", ""])
def test_a_charset_that_is_not_read_is_taken_out(charset: str) -> None:
    assert seen(f"application/json; charset={charset}; version=1") == "application/json; version=1"


@pytest.mark.parametrize(
    "given", ["", "application/json", "application/json; charset=UTF-8", "text/plain;charset=utf8"]
)
def test_anything_else_stays_as_it_is(given: str) -> None:
    assert seen(given) == given


def test_a_query_beside_a_strange_charset_is_answered(application: Application) -> None:
    content_type = "text/plain; charset=rot13"
    environ = RequestFactory()._base_environ(PATH_INFO="/livez", QUERY_STRING="x=1", CONTENT_TYPE=content_type)
    statuses: list[str] = []

    list(application(environ, lambda status, _: statuses.append(status)))
    assert statuses == ["200 OK"]
