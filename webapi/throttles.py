"""Limits on callers without a token. Reads go on without Redis: nobody is counted then."""

from __future__ import annotations

import logging
import time
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from webapi import limits
from webapi.limits import Limit

logger = logging.getLogger(__name__)

#: After Redis did not answer, nobody is counted for so long: a Redis that hangs must not hold up every read.
UNCOUNTED_SECONDS = 5.0


class AnonymousReads(BaseThrottle):
    """So many requests a minute from one address, for callers without a token."""

    _uncounted_until = float("-inf")

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request. LimitExceeded (429) if it is one too many."""
        if (request.user and request.user.is_authenticated) or time.monotonic() < AnonymousReads._uncounted_until:
            return True
        counted = [(limit := _limit(), limits.hashed(limits.address_of(request)))]
        try:
            limits.take(counted)
            left, seconds = limits.usage(*counted[0])
        except limits.LimitsUnavailable:
            AnonymousReads._uncounted_until = time.monotonic() + UNCOUNTED_SECONDS
            logger.warning("Redis does not answer: callers without a token are not counted for a while")
            return True
        request._request.rate_limit_headers = limit.headers(remaining=left, seconds=seconds)  # type: ignore[attr-defined]
        return True


class ShowsRateLimit:
    """A view that tells in its answer how much is left."""

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Add the RateLimit fields, if the request was counted."""
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        for name, value in getattr(request._request, "rate_limit_headers", {}).items():
            response.setdefault(name, value)
        return response


def _limit() -> Limit:
    return Limit("anonymous-reads", settings.ANONYMOUS_READS_PER_MINUTE)
