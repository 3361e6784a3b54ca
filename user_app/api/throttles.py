"""Slows down the guessing of passwords. Each web process counts alone, so a proxy should limit too.

Only failures count, so that neither a busy user nor a demonstration is ever held up. Guesses at one name are counted
together wherever they come from: a limit by address alone is passed by changing addresses. The price is that somebody
who goes on guessing keeps the owner from signing in; the smaller harm, since sessions are refreshed regardless.
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
    """Refuses once there were too many failures; `count_failure()` counts one. Rates are DRF's, by scope."""

    scope = "sign_in_failures"
    default_rate = "20/min"

    def get_rate(self) -> str:
        """Return DEFAULT_THROTTLE_RATES[scope], or the default."""
        return str(self.THROTTLE_RATES.get(self.scope) or self.default_rate)

    def throttle_success(self) -> bool:
        """Let the attempt pass without counting it: whether it fails is not known yet."""
        return True

    def count_failure(self) -> None:
        """Count the attempt that was let pass as a failure."""
        super().throttle_success()


class FailuresPerUsername(FailedSignIns):
    """Failed attempts at one username, from any address."""

    def get_cache_key(self, request: Request, view: Any) -> str:
        """Return the key of the username in the body; the name itself is kept out of the cache."""
        content = request.data if isinstance(request.data, Mapping) else {}
        # As signing in reads it: another spelling of the name is no new name. Beyond the bound there is no such name.
        name = User.normalize_username(str(content.get("username", ""))[:USERNAME_LENGTH]).lower()
        return f"{self.scope}:{hashlib.sha256(name.encode(errors='replace')).hexdigest()}"


class FailuresPerAddress(FailedSignIns):
    """Failed attempts from one address, whatever names it tries."""

    scope = "sign_in_failures_per_address"
    default_rate = "100/min"

    def get_cache_key(self, request: Request, view: Any) -> str:
        """Return the key of the caller's address; behind proxies set DRF's NUM_PROXIES."""
        return f"{self.scope}:{self.get_ident(request)}"


class FailuresPerAccount(FailedSignIns):
    """Wrong current passwords given with the tokens of one account."""

    def get_cache_key(self, request: Request, view: Any) -> str | None:
        """Return the key of the caller; None, so no limit, for one who is not signed in and is refused anyway."""
        return f"{self.scope}:{request.user.pk}" if request.user and request.user.pk else None
