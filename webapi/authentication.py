"""Authenticates callers by a verified access token. No service calls the user service for a request."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from webapi.jwks import KeysUnavailable
from webapi.roles import Role
from webapi.tokens import InvalidToken, read_claims


class NoKeys(APIException):
    """503: no token can be verified now. DRF puts `wait` into the Retry-After header."""

    # Not a Problem: DRF imports this module before its own views, and webapi.problems imports those.
    status_code = 503
    default_code = "keys_unavailable"
    default_detail = "The keys that verify tokens are unavailable (the user service does not answer); try again."
    wait = 1


@dataclass(frozen=True)
class TokenUser:
    """The caller, from the access token. Not a row of a table: the data may be five minutes old."""

    id: UUID
    is_staff: bool
    roles: frozenset[Role] = frozenset()
    session_id: UUID | None = None
    is_active: bool = True
    is_authenticated: bool = True

    @property
    def pk(self) -> UUID:
        """DRF's throttles distinguish callers by it."""
        return self.id


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`. Other schemes in that header are ignored."""

    def authenticate(self, request: Request) -> tuple[TokenUser, str] | None:
        """Return the caller and the token; None without a token. AuthenticationFailed (401) if it is not valid."""
        scheme, _, token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        return self._judge(token.strip().decode("latin-1"))

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge (RFC 6750) of a 401."""
        error = ', error="invalid_token"' if get_authorization_header(request) else ""
        return f'Bearer realm="{settings.SERVICE_NAME}"{error}'

    def _judge(self, token: str) -> tuple[TokenUser, str]:
        try:
            claims = read_claims(token, kind="access")
        except InvalidToken as error:
            raise AuthenticationFailed(str(error), code=error.code) from error
        except KeysUnavailable as error:
            raise NoKeys from error
        return TokenUser(claims.user_id, claims.is_staff, claims.roles, claims.session_id), token
