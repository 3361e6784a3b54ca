"""Signs tokens, and publishes the public keys that verify them. The only reader of the private key.

Rotation: first publish the new public key (USER_RETIRED_PUBLIC_KEYS takes each key that is published but does not
sign). Wait for the other services' caches (5 minutes). Then sign with the new key, and publish the old one until its
last token has expired (a refresh token lives one day). `rotate_signing_key` prints the values for each step.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import OKPAlgorithm

from messaging import new_id
from user_app.models import Session, User
from webapi.roles import Role, read_roles

ISSUER = "user"
ACCESS_LIFETIME = timedelta(minutes=5)
REFRESH_LIFETIME = timedelta(days=1)
PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class SigningKey:
    """The private key, and the id of its public key."""

    kid: str
    private: Ed25519PrivateKey


@dataclass(frozen=True)
class Tokens:
    """A signed pair. `expires_in`: the access token's lifetime in seconds. The refresh token is for this service."""

    access: str
    refresh: str
    expires_in: int


def issue_tokens(session: Session) -> Tokens:
    """Sign a pair for the user of `session`. The refresh token is the session's valid one and ends with it."""
    lifetime = min(REFRESH_LIFETIME, session.expires_at - datetime.now(UTC))
    refresh = _signed(session, "refresh", [ISSUER], lifetime, jti=str(session.token_id))
    return Tokens(_access_token(session), refresh, int(ACCESS_LIFETIME.total_seconds()))


def _access_token(session: Session) -> str:
    user = session.user
    roles = sorted(roles_of(user))
    return _signed(session, "access", settings.TOKEN_AUDIENCES, ACCESS_LIFETIME, staff=user.is_staff, roles=roles)


def roles_of(user: User) -> frozenset[Role]:
    """Return the roles of `user`: its groups of that name if it is staff; all for a superuser."""
    if user.is_superuser:
        return frozenset(Role)
    return read_roles(list(user.groups.values_list("name", flat=True))) if user.is_staff else frozenset()


def password_mark(user: User) -> str:
    """Return a value that changes with the password, and does not reveal it."""
    return hashlib.sha256(user.get_session_auth_hash().encode()).hexdigest()[:32]


def own_jwks() -> dict[str, Any]:
    """Return the JWK set (RFC 7517): first the signing key, then the keys that do not sign."""
    shown = [signing_key(settings.SIGNING_KEY).private.public_key(), *shown_only(settings.RETIRED_PUBLIC_KEYS)]
    return {"keys": [_public_jwk(key) for key in shown]}


def thumbprint(jwk: dict[str, Any]) -> str:
    """Return the JWK thumbprint (RFC 7638) of an Ed25519 key, which is its id."""
    members = json.dumps({name: jwk[name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id under which the JWK set shows this key."""
    return str(_public_jwk(key)["kid"])


def _signed(session: Session, kind: str, audience: list[str], lifetime: timedelta, **claims: Any) -> str:
    now = datetime.now(UTC)
    payload = {
        "iss": ISSUER,
        "aud": audience,
        "sub": str(session.user_id),
        "sid": str(session.pk),
        "typ": kind,
        "iat": now,
        "exp": now + lifetime,
        "jti": str(new_id()),
        **claims,
    }
    key = signing_key(settings.SIGNING_KEY)
    return jwt.encode(payload, key.private, algorithm="EdDSA", headers={"kid": key.kid})


@cache
def signing_key(pem: str) -> SigningKey:
    """Return the private key in `pem`; ImproperlyConfigured if it is none."""
    private = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ImproperlyConfigured(
            "USER_SIGNING_KEY must be an Ed25519 private key (openssl genpkey -algorithm ed25519)"
        )
    return SigningKey(_public_jwk(private.public_key())["kid"], private)


@cache
def shown_only(pems: str) -> list[Ed25519PublicKey]:
    """Return the public keys in `pems`; ImproperlyConfigured if it holds something else."""
    keys = [load_pem_public_key(block.group().encode()) for block in PEM_BLOCK.finditer(pems)]
    if (pems.strip() and not keys) or not all(isinstance(key, Ed25519PublicKey) for key in keys):
        raise ImproperlyConfigured("USER_RETIRED_PUBLIC_KEYS must be Ed25519 public keys (PEM), one after another")
    return keys  # type: ignore[return-value]


def _public_jwk(key: Ed25519PublicKey) -> dict[str, Any]:
    jwk = OKPAlgorithm.to_jwk(key, as_dict=True)
    return {"kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "use": "sig", "alg": "EdDSA", "kid": thumbprint(jwk)}
