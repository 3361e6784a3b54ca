"""The base of every view of the API."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.views import APIView

from webapi.filters import refuse_unknown_parameters


class StrictView(APIView):
    """Refuses query parameters that the view does not know: `POST /orders?coupon_id=…` would lose the coupon."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the caller, then the query."""
        super().initial(request, *args, **kwargs)
        # The filter backend of a list knows its filters, and refuses all others.
        if not (request.method in ("GET", "HEAD") and isinstance(self, ListModelMixin)):
            refuse_unknown_parameters(request, self.known_parameters())

    def known_parameters(self) -> Collection[str]:
        """Return the parameters that this view reads, other than those of a list."""
        return ()
