"""Refuses the character NUL wherever a request can have it. PostgreSQL stores none, so it would be a 500 later.

Bodies in JSON are not looked at here: their fields refuse it, each by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from webapi import problems

NUL = "\x00"


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware, before all that use a cookie: 400 for NUL in the path, the query, a cookie or a form's field."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        if any(NUL in text for text in _texts(request)):
            return problems.malformed(request, "nul_character", "The request contains the character NUL (U+0000).")
        return get_response(request)

    return answer


def _texts(request: HttpRequest) -> Iterator[str]:
    yield request.path_info
    yield from chain.from_iterable(request.COOKIES.items())
    yield from _fields(request.GET)
    # The API takes no forms. Reading one here would take the stream away from DRF, which answers 415.
    if not problems.is_api(request):
        yield from _fields(request.POST)


def _fields(form: object) -> Iterator[str]:
    for name, values in form.lists():  # type: ignore[attr-defined]
        yield name
        yield from values
