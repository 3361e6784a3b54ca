"""A user service of the tests' own: keys, tokens, and a JWK set over real HTTP that can be taken away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from rest_framework.test import APIClient

from webapi import jwks


@dataclass
class Issuer:
    """Signs tokens, and serves its public keys at `url`. `answer` is (status, body); `headers` go with every answer."""

    url: str = ""
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)
    answer: tuple[int, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0

    def add_key(self, kid: str) -> None:
        """Show a new key."""
        self.keys[kid] = Ed25519PrivateKey.generate()

    def jwk_set(self) -> dict[str, Any]:
        """Return what is shown."""
        shown = []
        for kid, key in self.keys.items():
            jwk = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
            shown.append({**jwk, "kid": kid, "alg": "EdDSA", "use": "sig"})
        return {"keys": shown}

    def token(self, kid: str, key: Ed25519PrivateKey | None = None, **changes: Any) -> str:
        """Return an access token that is right but for `changes` (None leaves a claim out)."""
        now = datetime.now(UTC)
        claims = {
            "iss": "user", "aud": [settings.SERVICE_NAME], "sub": str(uuid4()), "typ": "access", "staff": False,
            "jti": "1", "iat": now, "exp": now + timedelta(minutes=5), **changes,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.keys[kid], "EdDSA", {"kid": kid})


def _handler_of(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            status, body = issuer.answer or (200, json.dumps(issuer.jwk_set()))
            self.send_response(status)
            for name, value in issuer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def issuer(settings: Any) -> Iterator[Issuer]:
    issuer = Issuer()
    issuer.add_key("k1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(issuer))
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    settings.JWKS_URL, settings.JWKS_LOADER = issuer.url, None
    jwks._cache.cache_clear()
    yield issuer
    jwks._cache.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.fixture
def client() -> APIClient:
    # As in production: what nobody foresaw becomes a response.
    return APIClient(raise_request_exception=False)


def signed_in(token: str) -> APIClient:
    """A client that sends `token`."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


SOMEBODY = UUID(int=7)
