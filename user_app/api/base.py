"""What the views of the user service are built from: who may call them."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from user_app import selectors
from webapi.authentication import BearerAuthentication
from webapi.views import StrictView


class AccountAuthentication(BearerAuthentication):
    """Refuses a deactivated account and an ended session immediately. The other services do when the token expires."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return the caller's row and the verified claims. AuthenticationFailed if the account or session has ended."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = selectors.get_active_user(user_id=found[0].id)
        if user is None:
            raise AuthenticationFailed(
                "This account is deactivated; ask staff to reactivate it.", code="account_inactive"
            )
        if not selectors.list_sessions(user=user).filter(pk=found[0].session_id).exists():
            raise AuthenticationFailed("This session has ended; sign in again.", code="session_ended")
        return user, found[0]


class OpenView(StrictView):
    """An endpoint for callers who have no token yet."""

    authentication_classes = ()
    permission_classes = ()


class AccountView(StrictView):
    """An endpoint of the caller's own account."""

    authentication_classes = (AccountAuthentication,)
