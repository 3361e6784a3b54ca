"""Verifies tokens: signed by the user service with EdDSA, for this service, and of the expected type."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import jwt
from django.conf import settings

from webapi import jwks
from webapi.roles import Role, read_roles

ALGORITHM = "EdDSA"
ISSUER = "user"
REQUIRED_CLAIMS = ["iss", "aud", "sub", "iat", "exp", "jti", "typ"]
#: The clocks of two machines differ a little.
LEEWAY_SECONDS = 5


class InvalidToken(Exception):
    """The token is not valid. `code` gives the reason for programs, the message gives it to the caller."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Claims:
    """The claims of a verified token.

    `session_id`: the session that it was issued in, None if the claim is missing. `token_id`: its own id.
    """

    user_id: UUID
    is_staff: bool
    roles: frozenset[Role]
    session_id: UUID | None
    token_id: str


def read_claims(token: str, *, kind: str) -> Claims:
    """Return the claims of `token`, of type `kind` (access | refresh).

    InvalidToken if it is forged, for another service, expired or of another type; KeysUnavailable if the keys that
    verify it are unavailable.
    """
    try:
        payload = jwt.decode(
            token,
            key=_key_of(token),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            audience=settings.SERVICE_NAME,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED_CLAIMS},
        )
        return _claims(payload, kind)
    except jwt.ExpiredSignatureError as error:
        raise InvalidToken("token_expired", "The token has expired; refresh it or sign in again.") from error
    except (jwt.PyJWTError, jwks.KeyUnknown, ValueError) as error:
        raise InvalidToken("invalid_token", "The token is not valid for this service; sign in again.") from error


def _key_of(token: str) -> jwt.PyJWK:
    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    # Checked before the key is looked up, so that an invalid token causes no fetch.
    if header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise jwt.InvalidAlgorithmError("not an EdDSA token with a key id")
    return jwks.key_for(kid)


def _claims(payload: dict[str, object], kind: str) -> Claims:
    if payload["typ"] != kind:
        raise jwt.InvalidTokenError(f"not of type {kind}")
    return Claims(
        user_id=UUID(str(payload["sub"])),
        is_staff=payload.get("staff") is True,
        roles=read_roles(payload.get("roles")),
        session_id=UUID(str(payload["sid"])) if "sid" in payload else None,
        token_id=str(payload["jti"]),
    )
