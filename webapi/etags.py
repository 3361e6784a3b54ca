"""ETag and If-Match: a change that was made from an old state is refused with 412 and the present state.

The tag is of what people write. Counters that change by themselves, such as a product's stock, are left out: an order
must not refuse a new price. So the tag is for If-Match alone, and nothing is answered with 304.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from webapi.problems import Problem

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of what you changed from. If it is another by now: 412 `precondition_failed`.",
)
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="For If-Match. It changes with every value that people write, not with counters.",
)
CHANGED = OpenApiResponse(description="precondition_failed: it was changed; `current` is what is there now.")


def etag_of(shown: Mapping[str, Any], *, counters: Collection[str] = ()) -> str:
    """Return the entity tag of what the API shows, without its counters."""
    written = {name: value for name, value in shown.items() if name not in counters}
    text = json.dumps(written, sort_keys=True, cls=JSONEncoder)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def wants_match(request: Request) -> bool:
    """Return whether the request has a condition, so that its row must be locked before it is compared."""
    return "If-Match" in request.headers


def check_match(request: Request, shown: Mapping[str, Any], *, counters: Collection[str] = ()) -> None:
    """Raise Problem (412), with what is there now, unless If-Match names it. Hold the row's lock meanwhile."""
    tag = etag_of(shown, counters=counters)
    if {"*", tag}.isdisjoint(parse_etags(request.headers.get("If-Match", "*"))):
        detail = "It was changed since you read it; see current. Make your change again, with the new ETag."
        raise Problem(412, "precondition_failed", detail, headers={"ETag": tag}, current=shown)
