"""Who may use which endpoint: one table, and a walk through every endpoint with every kind of caller.

An endpoint that is not in the table fails the walk, so a new one is closed until somebody decides.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from tests.unknown_names import Endpoint, endpoints
from tests.webapi.conftest import Issuer
from webapi.roles import Role

#: Everybody, with or without a token that is judged: `OPEN` looks at no token, `PUBLIC` refuses a bad one.
OPEN, PUBLIC, SIGNED_IN = "open", "public", "signed in"

TABLE: dict[str, str | set[str]] = {
    "GET /api/v1/orders": SIGNED_IN,
    "POST /api/v1/orders": SIGNED_IN,
    "GET /api/v1/orders/{order_id}": SIGNED_IN,
    "POST /api/v1/orders/{order_id}/cancel": SIGNED_IN,
    "GET /api/v1/orders/{order_id}/saga": SIGNED_IN,
    "GET /api/v1/products": PUBLIC,
    "POST /api/v1/products": {"catalog"},
    "GET /api/v1/products/{product_id}": PUBLIC,
    "PATCH /api/v1/products/{product_id}": {"catalog"},
    "POST /api/v1/products/{product_id}/stock-adjustments": {"catalog"},
    "GET /api/v1/campaigns": SIGNED_IN,
    "POST /api/v1/campaigns": {"marketing"},
    "GET /api/v1/campaigns/{campaign_id}": SIGNED_IN,
    "PATCH /api/v1/campaigns/{campaign_id}": {"marketing"},
    "POST /api/v1/campaigns/{campaign_id}/claims": SIGNED_IN,
    "GET /api/v1/claims/{claim_id}": SIGNED_IN,
    "GET /api/v1/coupons": SIGNED_IN,
    "POST /api/v1/coupons": {"marketing"},
    "POST /api/v1/users": OPEN,
    "POST /api/v1/token": OPEN,
    "POST /api/v1/token/refresh": OPEN,
    "POST /api/v1/token/revoke": OPEN,
    "GET /api/v1/users/me": SIGNED_IN,
    "PATCH /api/v1/users/me": SIGNED_IN,
    "GET /api/v1/users/me/sessions": SIGNED_IN,
    "DELETE /api/v1/users/me/sessions": SIGNED_IN,
    "DELETE /api/v1/users/me/sessions/{session_id}": SIGNED_IN,
    "GET /api/v1/users/me/purchases": SIGNED_IN,
}
#: What is no endpoint of the API: probes, the description, the keys. Everything below admin/ asks for a login.
OPEN_PAGES = {"livez", "readyz", "api/schema", "api/docs", ".well-known/jwks.json"}
#: The admin's page that needs no login.
OPEN_ADMIN = {"admin/login/"}

#: Gives a token of a kind that must not be believed.
Forgery = Callable[[Issuer, Mapping[str, Any]], str]
FORGED: dict[str, Forgery] = {
    "another audience": lambda issuer, claims: issuer.token("k1", **{**claims, "aud": ["elsewhere"]}),
    "expired": lambda issuer, claims: issuer.token("k1", **{**claims, "exp": datetime.now(UTC) - timedelta(minutes=1)}),
    "a refresh token": lambda issuer, claims: issuer.token("k1", **{**claims, "typ": "refresh"}),
    "signed by another": lambda issuer, claims: _by_another(issuer, claims),
    "unsigned": lambda issuer, claims: _with_header(issuer, claims, {"alg": "none"}),
    "HS256 with the public key": lambda issuer, claims: _with_header(issuer, claims, {"alg": "HS256", "kid": "k1"}),
}


def wrong_answers(issuer: Issuer, claims: Mapping[str, Any]) -> list[str]:
    """Return where an endpoint of the project at hand answers otherwise than the table says.

    `claims`: of the caller's tokens, besides those of every token.
    """
    tried = [(endpoint, caller, token) for endpoint, _ in endpoints() for caller, token in _callers(issuer, claims)]
    assert tried, "there is no endpoint"
    return [
        f"{endpoint} as {caller}: {answer.status_code} {answer.content[:80]!r}"
        for endpoint, caller, token in tried
        if not _is_right(endpoint, caller, answer := _call(endpoint, token))
    ]


def unlisted_pages() -> list[str]:
    """Return every address outside the API that shows itself to somebody without a login and is not listed."""
    addresses = {address for address in _addresses(get_resolver(), "") if not address.startswith("api/v1/")}
    return sorted(
        address
        for address in addresses - OPEN_PAGES - OPEN_ADMIN
        if APIClient(raise_request_exception=False).get(f"/{address}").status_code not in (302, 404)
    )


def _callers(issuer: Issuer, claims: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    roles = [(str(role), issuer.token("k1", **{**claims, "staff": True, "roles": [role]})) for role in Role]
    forged = [(kind, make(issuer, {**claims, "staff": True, "roles": list(Role)})) for kind, make in FORGED.items()]
    customer = issuer.token("k1", **{**claims, "roles": list(Role)})
    no_role = issuer.token("k1", **{**claims, "staff": True})
    return [("nobody", None), ("a customer", customer), ("staff without a role", no_role), *roles, *forged]


def _is_right(endpoint: Endpoint, caller: str, answer: Any) -> bool:
    allowed = TABLE[str(endpoint)]
    code = _code(answer)
    if allowed == OPEN:
        return _is_let_in(answer) or code in ("invalid_token", "invalid_credentials")
    if caller in FORGED:
        return bool(answer.status_code == 401 and code == ("token_expired" if caller == "expired" else "invalid_token"))
    if caller == "nobody" and allowed != PUBLIC:
        return bool((answer.status_code, code) == (401, "not_authenticated"))
    if isinstance(allowed, str) or caller in allowed:
        return _is_let_in(answer)
    return bool((answer.status_code, code) == (403, "staff_only" if caller == "a customer" else "role_missing"))


def _code(answer: Any) -> str:
    body = answer.json() if answer.content else None
    return str(body.get("code")) if isinstance(body, dict) else ""


def _is_let_in(answer: Any) -> bool:
    return answer.status_code not in (401, 403) and answer.status_code < 500


def _call(endpoint: Endpoint, token: str | None) -> Any:
    headers = {"Idempotency-Key": str(uuid4()), **({"Authorization": f"Bearer {token}"} if token else {})}
    client = APIClient(raise_request_exception=False)
    return client.generic(endpoint.method.upper(), endpoint.address, "{}", "application/json", headers=headers)


def _by_another(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    stranger = Issuer()
    stranger.add_key("k1")
    return issuer.token("k1", key=stranger.keys["k1"], **claims)


def _with_header(issuer: Issuer, claims: Mapping[str, Any], header: dict[str, str]) -> str:
    payload = issuer.token("k1", **claims).split(".")[1]
    signed = f"{_encoded(json.dumps(header).encode())}.{payload}"
    public = issuer.keys["k1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = b"" if header["alg"] == "none" else hmac.digest(public, signed.encode(), "sha256")
    return f"{signed}.{_encoded(signature)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _addresses(resolver: URLResolver, prefix: str) -> list[str]:
    found: list[str] = []
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            found += _addresses(pattern, prefix + _filled(pattern))
        else:
            found.append(prefix + _filled(pattern))
    return found


def _filled(pattern: URLPattern | URLResolver) -> str:
    """Return an address that the pattern matches: ids of nothing in the place of its parameters."""
    route = re.sub(r"<int:\w+>", "1", str(pattern.pattern))
    return re.sub(r"<[^>]+>", lambda _: str(uuid4()), route).removeprefix("^").removesuffix("$")
