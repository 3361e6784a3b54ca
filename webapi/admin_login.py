"""The forms of the four admins that look at a password. They count failures as the API does."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from webapi import limits
from webapi.limits import LimitExceeded, LimitsUnavailable
from webapi.sign_in_limits import WRONG_PASSWORDS, guessing


class LimitedLoginForm(AdminAuthenticationForm):
    """Django's form; after too many failures it looks at no password for a while."""

    def clean(self) -> dict[str, Any]:
        """Check name and password. ValidationError if they are wrong, or if nobody may try now."""
        assert self.request is not None
        if self.errors or not self.cleaned_data.get("password"):
            # No password was given, so nothing is guessed, and nobody signs in.
            return super().clean()
        try:
            with guessing(self.request, self.cleaned_data["username"].lower(), ValidationError):
                return super().clean()
        except (LimitExceeded, LimitsUnavailable) as error:
            raise _refusal(error) from error


class LimitedPasswordChangeForm(AdminPasswordChangeForm):
    """Django's form; a stolen session does not guess the password with it."""

    def clean_old_password(self) -> str:
        """Check the current password. ValidationError if it is wrong, or if nobody may try now."""
        try:
            with limits.counting([(WRONG_PASSWORDS, str(self.user.pk))], ValidationError):
                return super().clean_old_password()
        except (LimitExceeded, LimitsUnavailable) as error:
            raise _refusal(error) from error


def _refusal(error: LimitExceeded | LimitsUnavailable) -> ValidationError:
    if isinstance(error, LimitExceeded):
        return ValidationError(_("Too many attempts; try again in %d seconds.") % error.seconds, code="throttled")
    return ValidationError(_("Redis does not answer, so nobody can sign in now; try again."), code="limits_unavailable")
