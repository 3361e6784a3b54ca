"""What is not a token of ours. Each forgery is a genuine token with one thing changed."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from user_app import tokens
from user_app.models import User
from user_app.sessions import start_session

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)


@dataclass
class Forger:
    """What an attacker could have: even our private key, so that only the named change can be what is refused."""

    user: User
    header: dict[str, Any] = field(default_factory=lambda: {"kid": tokens.own_jwks()["keys"][0]["kid"]})

    @cached_property
    def session_id(self) -> str:
        start_session(user=self.user)
        return str(self.user.sessions.latest("created_at").pk)

    @property
    def key(self) -> Ed25519PrivateKey:
        key = serialization.load_pem_private_key(settings.SIGNING_KEY.encode(), None)
        assert isinstance(key, Ed25519PrivateKey)
        return key

    def public(self, encoding: serialization.Encoding, form: serialization.PublicFormat) -> bytes:
        """Return our public key as everybody can have it."""
        return self.key.public_key().public_bytes(encoding, form)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return right claims but for `changes`; None leaves a claim out."""
        right = {
            "iss": "user", "aud": ["user"], "sub": str(self.user.pk), "typ": "access", "staff": True, "jti": "1",
            "sid": self.session_id, "iat": NOW, "exp": NOW + timedelta(minutes=5),
        }  # fmt: skip
        return {name: value for name, value in {**right, **changes}.items() if value is not None}

    def genuine(self, **changes: Any) -> str:
        """Return a token signed by our own key."""
        return jwt.encode(self.claims(**changes), self.key, "EdDSA", self.header)

    def signed_by_another(self, **header: Any) -> str:
        """Return a token signed by a key that is not ours."""
        return jwt.encode(self.claims(), Ed25519PrivateKey.generate(), "EdDSA", {**self.header, **header})

    def hs256(self, secret: bytes) -> str:
        """Return a token with an HMAC; made by hand, since PyJWT refuses to use a public key so."""
        claims = {**self.claims(), "iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 300}
        text = f"{encoded({'alg': 'HS256', 'typ': 'JWT', **self.header})}.{encoded(claims)}"
        return f"{text}.{encoded(hmac.digest(secret, text.encode(), 'sha256'))}"

    def changed_after_signing(self) -> str:
        """Return a token whose claims are not those that were signed."""
        head, payload, signature = self.genuine(staff=False).split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        return f"{head}.{encoded({**claims, 'staff': True})}.{signature}"


def encoded(value: dict[str, Any] | bytes) -> str:
    """Return a part of a JWT."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


PEM = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
FOREIGN_JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

FORGERIES: dict[str, Callable[[Forger], str]] = {
    "alg none": lambda forger: jwt.encode(forger.claims(), None, "none", forger.header),
    "HS256 signed with the public key": lambda forger: forger.hs256(forger.public(*PEM)),
    "HS256 signed with the public bytes": lambda forger: forger.hs256(forger.public(*RAW)),
    "a foreign key under our kid": lambda forger: forger.signed_by_another(),
    "a foreign key brought along": lambda forger: forger.signed_by_another(jwk=FOREIGN_JWK),
    "a foreign key to be fetched": lambda forger: forger.signed_by_another(jku="http://evil.example/jwks.json"),
    "an unknown kid": lambda forger: forger.signed_by_another(kid="another"),
    "no kid": lambda forger: jwt.encode(forger.claims(), forger.key, "EdDSA"),
    "changed after signing": lambda forger: forger.changed_after_signing(),
    "without a signature": lambda forger: forger.genuine().rpartition(".")[0] + ".",
    "expired": lambda forger: forger.genuine(iat=NOW - timedelta(hours=1), exp=NOW - timedelta(minutes=1)),
    "not valid yet": lambda forger: forger.genuine(nbf=NOW + timedelta(minutes=5)),
    "of the future": lambda forger: forger.genuine(iat=NOW + timedelta(minutes=5)),
    "another audience": lambda forger: forger.genuine(aud=["order"]),
    "another issuer": lambda forger: forger.genuine(iss="order"),
    "a refresh token": lambda forger: forger.genuine(typ="refresh"),
    "of a session that is no id": lambda forger: forger.genuine(sid="alice"),
    "a subject that is no id": lambda forger: forger.genuine(sub="alice"),
    "without an expiry": lambda forger: forger.genuine(exp=None),
    "without a type": lambda forger: forger.genuine(typ=None),
    "without an audience": lambda forger: forger.genuine(aud=None),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_token_is_refused(client, alice, kind):
    # When a token that must not be believed is sent
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {FORGERIES[kind](Forger(alice))}")
    response = client.get("/api/v1/users/me")
    # Then it is a 401 with a challenge
    assert response.status_code == 401
    assert response.json()["code"] == ("token_expired" if kind == "expired" else "invalid_token")
    assert response["WWW-Authenticate"] == 'Bearer realm="user", error="invalid_token"'


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_forged_token_does_not_refresh(client, alice, kind):
    # When a forgery is sent as a refresh token, then it is refused all the same
    response = client.post("/api/v1/token/refresh", {"refresh": FORGERIES[kind](Forger(alice))})
    assert response.status_code == 401


def test_the_forgeries_differ_from_a_genuine_token_in_one_thing_only(client, alice):
    # Given a token made as the forgeries are, with nothing changed
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {Forger(alice).genuine()}")
    # Then it is accepted, so each forgery was refused for what it changed
    assert client.get("/api/v1/users/me").status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer a b", "Bearer ...", "Bearer a.b.c", "Bearer \xff"])
def test_a_header_that_holds_no_token_is_a_401(client, alice, header):
    # When something else than a token is sent
    client.credentials(HTTP_AUTHORIZATION=header)
    # Then it is refused like no token
    assert client.get("/api/v1/users/me").status_code == 401
