"""Permissions, in addition to DRF's IsAuthenticated."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class IsStaff(BasePermission):
    """Only callers with a token of staff."""

    message = "Only staff may do this."
    code = "staff_only"

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller is staff."""
        return bool(request.user and request.user.is_authenticated and request.user.is_staff)
