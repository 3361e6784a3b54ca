"""Every error of the API is a problem (RFC 9457): a stable `code` for programs, a `detail` for people."""

from __future__ import annotations

import logging
import sys
from http import HTTPStatus
from typing import Any

from django.core.exceptions import BadRequest, RequestDataTooBig
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from webapi.limits import LimitExceeded, LimitsUnavailable

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
#: Two transactions wanted the same rows (deadlock, serialization failure, lock timeout). The database is healthy.
CONTENTION = {"40P01", "40001", "55P03"}
#: A standby, or a failover in progress. psycopg2 raises InternalError for it.
READ_ONLY = "25006"
#: Retry-After in seconds, for temporary errors.
AGAIN = {"Retry-After": "1"}

#: The page for browsers when the database does not answer.
PAGE = """<!doctype html>
<html lang="en"><head><title>%s</title></head><body><h1>503</h1><p>%s</p></body></html>
"""


class Problem(Exception):
    """Raise it in a view to answer with `status`. The body has `code`, `detail` and the `extra` members."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem response of `error`; None for an unexpected error, which Django logs and answers as a 500."""
    problem = _problem_of(error)
    if problem is not None:
        set_rollback()
        return _response(problem)
    error = _as_api_exception(error)
    # DRF's handler knows the headers of its exceptions (Allow, Retry-After, WWW-Authenticate).
    response = exception_handler(error, context)
    return None if response is None else _dressed(error, response)


def body(status: int, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    """Return the members of a problem. The title is the status's phrase, as RFC 9457 requires for about:blank."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        **extra,
    }


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404, with a problem under /api/."""
    if not is_api(request):
        return defaults.page_not_found(request, exception)
    return _plain(404, "not_found", "There is nothing at this address; see /api/docs.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400, with a problem under /api/."""
    return malformed(request, "bad_request", "The request is malformed.", exception)


def malformed(request: HttpRequest, code: str, detail: str, exception: Exception | None = None) -> HttpResponse:
    """Return a 400: a problem under /api/, a page elsewhere."""
    if not is_api(request):
        return defaults.bad_request(request, exception or BadRequest(detail))
    return _plain(400, code, detail)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, with a problem under /api/. Django has logged the exception; the response hides it.

    A failed database is a 503 here too, in any part of the request.
    """
    # Django calls this function while it handles the exception.
    problem = _database_problem(sys.exc_info()[1])
    if problem is not None:
        return _unavailable(request, problem)
    if not is_api(request):
        return defaults.server_error(request)
    return _plain(500, "internal_error", "The service failed; the error is in its log.")


def _problem_of(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case RequestDataTooBig():
            return Problem(413, "body_too_large", "The body is too large; send less.")
        case DatabaseError() | InterfaceError():
            return _database_problem(error)
        case LimitExceeded():
            return Problem(429, "throttled", str(error), headers=error.headers())
        case LimitsUnavailable():
            return Problem(503, "limits_unavailable", f"{error} Try again.", headers=AGAIN)
        case _:
            return None


def _database_problem(error: BaseException | None) -> Problem | None:
    state = getattr(error.__cause__, "pgcode", None) if error else None
    if state in CONTENTION:
        return Problem(503, "busy", "Another request is changing the same data; try again.", headers=AGAIN)
    if state != READ_ONLY and not isinstance(error, OperationalError | InterfaceError):
        return None
    logger.error("Answered 503 because the database failed: %s", error)
    return Problem(503, "database_unavailable", "The database does not answer; try again.", headers=AGAIN)


def _response(problem: Problem) -> Response:
    content = body(problem.status, problem.code, problem.detail, **problem.extra)
    return Response(content, status=problem.status, headers=problem.headers, content_type=CONTENT_TYPE)


def _as_api_exception(error: Exception) -> Exception:
    match error:
        # Their messages contain names of models and permissions, for Django's debug pages, not for callers.
        case Http404():
            return NotFound()
        case DjangoPermissionDenied():
            return PermissionDenied()
        case _:
            return error


def _dressed(error: Exception, response: Response) -> Response:
    status = response.status_code
    if isinstance(error, ValidationError):
        response.data = body(
            status, "validation_failed", "Some values are not valid; see errors.", errors=_by_field(error)
        )
    else:
        detail = response.data["detail"]
        response.data = body(status, detail.code, str(detail))
    response.content_type = CONTENT_TYPE
    return response


def _by_field(error: ValidationError) -> Any:
    return error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}


def _unavailable(request: HttpRequest, problem: Problem) -> HttpResponse:
    if is_api(request):
        return _plain(problem.status, problem.code, problem.detail, headers=problem.headers)
    # Not a template: the admin's templates ask the database who is signed in.
    return HttpResponse(PAGE % (problem.detail, problem.detail), status=problem.status, headers=problem.headers)


def is_api(request: HttpRequest) -> bool:
    """Return whether the request is for the API, where every error is a problem."""
    return request.path.startswith("/api/")


def _plain(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> JsonResponse:
    return JsonResponse(body(status, code, detail), status=status, content_type=CONTENT_TYPE, headers=headers)
