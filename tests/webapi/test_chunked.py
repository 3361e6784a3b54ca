"""A body without Content-Length: it is read, or refused, and never taken for an empty one."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from webapi.chunked import read_chunked


class Broken(io.BytesIO):
    """A body whose chunks cannot be decoded."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError("invalid chunk")


def send(body: io.BytesIO, **environ: Any) -> tuple[str, dict[str, Any], bytes]:
    """Return the status, and what the application saw: its environ and the body."""
    seen: dict[str, Any] = {}
    statuses: list[str] = []

    def application(request: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(request)
        start_response("200 OK", [])
        return [request["wsgi.input"].read()]

    wrapped = read_chunked(application, most=5)
    answer = b"".join(wrapped({"wsgi.input": body, **environ}, lambda status, _: statuses.append(status)))
    return statuses[0], seen, answer


CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}


def test_a_chunked_body_gets_its_length() -> None:
    status, seen, body = send(io.BytesIO(b"abc"), **CHUNKED, **{"wsgi.input_terminated": True})

    assert (status, seen["CONTENT_LENGTH"], body) == ("200 OK", "3", b"abc")


def test_of_a_body_that_is_too_long_only_one_byte_more_is_read() -> None:
    body = io.BytesIO(b"0123456789")
    _, seen, _ = send(body, **CHUNKED, **{"wsgi.input_terminated": True})

    assert (seen["CONTENT_LENGTH"], body.tell()) == ("6", 6)


def test_a_server_that_decodes_no_chunks_makes_it_a_411() -> None:
    status, seen, body = send(io.BytesIO(b"3\r\nabc\r\n0\r\n\r\n"), **CHUNKED)

    assert (status, seen, json.loads(body)["code"]) == ("411 Length Required", {}, "length_required")


def test_chunks_that_cannot_be_decoded_are_a_400() -> None:
    status, seen, body = send(Broken(), **CHUNKED, **{"wsgi.input_terminated": True})

    assert (status, seen, json.loads(body)["code"]) == ("400 Bad Request", {}, "bad_request")


@pytest.mark.parametrize("environ", [{"CONTENT_LENGTH": "3", "wsgi.input_terminated": True}, {}])
def test_any_other_request_stays_as_it_is(environ: dict[str, Any]) -> None:
    body = io.BytesIO(b"abc")
    _, seen, _ = send(body, **environ)

    assert seen == {"wsgi.input": body, **environ}
