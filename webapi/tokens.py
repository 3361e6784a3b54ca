"""What a token must be to be believed: signed by the user service, with EdDSA, for this service, of the asked type."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import jwt
from django.conf import settings

from webapi import jwks

ALGORITHM = "EdDSA"
ISSUER = "user"
REQUIRED_CLAIMS = ["iss", "aud", "sub", "iat", "exp", "jti", "typ"]
#: The clocks of two machines are never quite the same.
LEEWAY_SECONDS = 5


class InvalidToken(Exception):
    """The token is not to be believed; `code` says why in one word, the message says it to the caller."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Claims:
    """What a verified token says: who, whether staff, and (refresh tokens) the session that it belongs to."""

    user_id: UUID
    is_staff: bool
    session: str


def read_claims(token: str, *, kind: str) -> Claims:
    """Return the claims of `token`, of type `kind` (access | refresh).

    InvalidToken when it is not genuine, not for this service, expired or of another type; KeysUnavailable when the
    keys to judge it by can't be had.
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
        raise InvalidToken("invalid_token", "The token is not valid here.") from error


def _key_of(token: str) -> jwt.PyJWK:
    header = jwt.get_unverified_header(token)
    kid = header.get("kid")
    # Looked at before the key is sought, so that junk causes no fetch.
    if header.get("alg") != ALGORITHM or not isinstance(kid, str):
        raise jwt.InvalidAlgorithmError("not an EdDSA token with a key id")
    return jwks.key_for(kid)


def _claims(payload: dict[str, object], kind: str) -> Claims:
    if payload["typ"] != kind:
        raise jwt.InvalidTokenError(f"not of type {kind}")
    return Claims(UUID(str(payload["sub"])), payload.get("staff") is True, str(payload.get("ses", "")))
