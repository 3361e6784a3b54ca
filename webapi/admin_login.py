"""The login form of the four admins, which counts failures as the API does."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webapi.limits import LimitExceeded, LimitsUnavailable
from webapi.sign_in_limits import guessing


class LimitedLoginForm(AdminAuthenticationForm):
    """Django's form; after too many failures it looks at no password for a while."""

    def clean(self) -> dict[str, Any]:
        """Check name and password. ValidationError if they are wrong, or if nobody may try now."""
        assert self.request is not None
        name = str(self.cleaned_data.get("username") or "").lower()
        try:
            with guessing(self.request, name, ValidationError):
                return super().clean()
        except LimitExceeded as exceeded:
            raise ValidationError(
                _("Too many attempts; try again in %d seconds.") % exceeded.seconds, code="throttled"
            ) from exceeded
        except LimitsUnavailable as error:
            raise ValidationError(
                _("Redis does not answer, so nobody can sign in now; try again."), code="limits_unavailable"
            ) from error
