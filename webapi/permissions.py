"""Permissions, in addition to DRF's IsAuthenticated."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from webapi.problems import Problem
from webapi.roles import Role


class RoleRequired(BasePermission):
    """Only staff with one of `roles`. 403 `staff_only` for a customer, `role_missing` for other staff."""

    roles: frozenset[Role] = frozenset()

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the caller has one of the roles; False without a token (401)."""
        if not (request.user and request.user.is_authenticated):
            return False
        check_role(request.user, self.roles)
        return True


def needs_role(roles: frozenset[Role]) -> type[RoleRequired]:
    """Return a permission class for these roles."""
    return type("NeedsRole", (RoleRequired,), {"roles": roles})


def has_role(user: Any, roles: frozenset[Role]) -> bool:
    """Return whether `user` (a TokenUser; anybody else has none) is staff with one of `roles`."""
    return bool(getattr(user, "is_staff", False) and getattr(user, "roles", frozenset()) & roles)


def check_role(user: Any, roles: frozenset[Role]) -> None:
    """Raise a 403 Problem unless `user` (a TokenUser) has one of `roles`."""
    if not user.is_staff:
        raise Problem(403, "staff_only", "Only staff may do this.")
    if not has_role(user, roles):
        names = " or ".join(sorted(roles))
        raise Problem(
            403, "role_missing", f"This needs the role {names}; an administrator of the user service can grant it."
        )
