"""Reads a body that has no Content-Length before Django sees the request.

Django takes a request without Content-Length for one without a body. So a chunked `PATCH {"active": false}` would be
answered 200 and change nothing.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from webapi import problems

Application = Callable[..., Iterable[bytes]]
_LENGTH_REQUIRED = problems.body(
    411, "length_required", "This server reads no chunked body; send the body with a Content-Length."
)
_BROKEN = problems.body(400, "bad_request", "The chunked body is broken.")


def read_chunked(application: Application, *, most: int) -> Application:
    """Wrap a WSGI application: give each body a Content-Length. It reads at most one byte more than `most`.

    So Django answers a longer body with 413. If the server does not decode chunks (`wsgi.input_terminated`): 411.
    """

    def wrapped(request: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if request.get("CONTENT_LENGTH"):
            return application(request, start_response)
        if not request.get("wsgi.input_terminated"):
            chunked = "HTTP_TRANSFER_ENCODING" in request
            return _refuse(start_response, _LENGTH_REQUIRED) if chunked else application(request, start_response)
        try:
            body = request["wsgi.input"].read(most + 1)
        except OSError:
            return _refuse(start_response, _BROKEN)
        return application(request | {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}, start_response)

    return wrapped


def _refuse(start_response: Callable[..., Any], problem: dict[str, Any]) -> Iterable[bytes]:
    start_response(f"{problem['status']} {problem['title']}", [("Content-Type", problems.CONTENT_TYPE)])
    return [json.dumps(problem).encode()]
