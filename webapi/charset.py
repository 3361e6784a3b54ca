"""Refuses a request with an unusable charset before Django uses it.

Django accepts every Python codec, also `rot13`. With such a codec it cannot read even the query string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Application = Callable[..., Any]

#: JSON is UTF-8 (RFC 8259), and so are the forms. ASCII is a subset of it.
READABLE = {"utf-8", "utf8", "us-ascii"}
_CHARSET = re.compile(r""";\s*charset\s*=\s*"?([^\s";]*)"?[^;]*""", re.IGNORECASE)


def read_as_utf8(application: Application) -> Application:
    """Wrap a WSGI application: remove every other charset from the header, so that Django reads UTF-8."""

    def wrapped(request: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        content_type = request.get("CONTENT_TYPE", "")
        request["CONTENT_TYPE"] = _CHARSET.sub(_readable, content_type)
        return application(request, start_response)

    return wrapped


def _readable(found: re.Match[str]) -> str:
    return found.group(0) if found.group(1).lower() in READABLE else ""
