"""Slows down the guessing of passwords. Each web process counts by itself, so a proxy should limit too.

Only failures count, so a busy user is never slowed down. Guesses at one name count together, from all addresses:
changing addresses would pass a limit by address alone. The price: an attacker who keeps guessing keeps the owner from
signing in. This is the smaller harm, because a signed-in owner can still refresh the session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from user_app.api.serializers import USERNAME_LENGTH
from user_app.models import User


class FailedSignIns(SimpleRateThrottle):
    """Refuses after too many failures. `count_failure()` counts one. Rates are DRF's, by scope."""

    scope = "sign_in_failures"
    default_rate = "20/min"

    def get_rate(self) -> str:
        """Return DEFAULT_THROTTLE_RATES[scope], or the default."""
        return str(self.THROTTLE_RATES.get(self.scope) or self.default_rate)

    def throttle_success(self) -> bool:
        """Allow the attempt without counting it: it has not failed yet."""
        return True

    def count_failure(self) -> None:
        """Count the allowed attempt as a failure."""
        super().throttle_success()


class FailuresPerUsername(FailedSignIns):
    """Failed attempts at one username, from any address."""

    def get_cache_key(self, request: Request, view: Any) -> str:
        """Return the key of the username in the body. The cache never contains the name itself."""
        content = request.data if isinstance(request.data, Mapping) else {}
        # Normalised as at sign-in, so other spellings share one count. No longer name exists.
        name = User.normalize_username(str(content.get("username", ""))[:USERNAME_LENGTH]).lower()
        return f"{self.scope}:{hashlib.sha256(name.encode(errors='replace')).hexdigest()}"


class FailuresPerAddress(FailedSignIns):
    """Failed attempts from one address, for any name."""

    scope = "sign_in_failures_per_address"
    default_rate = "100/min"

    def get_cache_key(self, request: Request, view: Any) -> str:
        """Return the key of the caller's address; behind proxies set DRF's NUM_PROXIES."""
        return f"{self.scope}:{self.get_ident(request)}"


class FailuresPerAccount(FailedSignIns):
    """Wrong current passwords sent with the tokens of one account."""

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        """Return the key of the caller. None (no limit) for a caller without a token, who is refused anyway."""
        return f"{self.scope}:{request.user.pk}" if request.user and request.user.pk else None
