"""POST /token, POST /token/refresh, the JWK set, and what is not a token."""

from __future__ import annotations

import base64
import hashlib

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from tests.user.conftest import PASSWORD
from user_app import services, tokens

pytestmark = pytest.mark.django_db(transaction=True)


def sign_in(client, **body):
    return client.post("/api/v1/token", {"username": "alice", "password": PASSWORD, **body})


def public_pem(key):
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_signing_in_gives_tokens_with_the_documented_claims(client, alice):
    # When alice signs in
    body = sign_in(client).json()
    # Then the access token is for all services and lives for five minutes
    access = jwt.decode(body["access"], options={"verify_signature": False})
    assert access["sub"] == str(alice.pk)
    assert access["iss"] == "user"
    assert access["aud"] == ["order", "product", "coupon", "user"]
    assert (access["typ"], access["staff"]) == ("access", False)
    assert access["exp"] - access["iat"] == body["expires_in"] == 300
    # And the refresh token is for the user service alone and lives for a day
    refresh = jwt.decode(body["refresh"], options={"verify_signature": False})
    assert (refresh["typ"], refresh["aud"]) == ("refresh", ["user"])
    assert refresh["exp"] - refresh["iat"] == 86_400


def test_the_published_keys_verify_a_token_and_hold_nothing_private(client, alice):
    # Given the JWK set, read as anybody reads it
    response = client.get("/.well-known/jwks.json")
    keys = jwt.PyJWKSet.from_dict(response.json()).keys
    # When a token is verified with the key that its header names
    token = sign_in(client).json()["access"]
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(key for key in keys if key.key_id == kid)
    # Then it is genuine
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience="order")["sub"] == str(alice.pk)
    assert not any("d" in key for key in response.json()["keys"])
    assert "max-age=300" in response["Cache-Control"]


def test_the_key_id_is_the_thumbprint_of_rfc_7638():
    # Given the example key of RFC 8037, appendix A.3
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    # Then its thumbprint is the one given there
    assert tokens.thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    # And it is the hash of the members in order, without blanks
    text = b'{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    expected = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    assert tokens.thumbprint(jwk) == expected


def test_a_token_of_the_old_key_is_valid_while_the_old_key_is_shown(client, alice, settings):
    # Given a token signed before a rotation
    old = serialization.load_pem_private_key(settings.SIGNING_KEY.encode(), None)
    token = sign_in(client).json()["refresh"]
    # When the key is replaced, and the old one is still shown
    settings.SIGNING_KEY = private_pem(Ed25519PrivateKey.generate())
    settings.RETIRED_PUBLIC_KEYS = public_pem(Ed25519PrivateKey.generate()) + public_pem(old)
    fresh_key_cache(settings)
    # Then three keys are shown, the signing one first, and the old token still works
    shown = client.get("/.well-known/jwks.json").json()["keys"]
    assert len({key["kid"] for key in shown}) == 3
    new = jwt.get_unverified_header(sign_in(client).json()["access"])["kid"]
    assert shown[0]["kid"] == new
    assert client.post("/api/v1/token/refresh", {"refresh": token}).status_code == 200
    # And when it is shown no more, the token is refused
    settings.RETIRED_PUBLIC_KEYS = ""
    fresh_key_cache(settings)
    assert client.post("/api/v1/token/refresh", {"refresh": token}).status_code == 401


def fresh_key_cache(settings):
    """The keys are cached by loader and address; another address is another cache."""
    settings.JWKS_URL = f"{settings.JWKS_URL}?again"


@pytest.mark.parametrize("name", ["SIGNING_KEY", "RETIRED_PUBLIC_KEYS"])
def test_a_key_that_is_no_key_is_refused_with_the_variables_name(settings, name):
    # Given a value that is no Ed25519 key
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    rsa = generate_private_key(65_537, 2048)
    setattr(settings, name, private_pem(rsa) if name == "SIGNING_KEY" else public_pem(rsa))
    # Then the message says which variable it is
    with pytest.raises(ImproperlyConfigured, match=f"USER_{name}"):
        tokens.own_jwks()


@pytest.mark.parametrize("body", [{"username": "nobody"}, {"password": "wrong"}, {"username": "ALICE"}])
def test_a_wrong_name_and_a_wrong_password_are_answered_alike(client, alice, body):
    # When either is wrong
    response = sign_in(client, **body)
    # Then the answer does not tell which
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_credentials"
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_name_costs_a_hash_like_a_known_one(client, alice, monkeypatch):
    # Given a count of the hashes made
    from django.contrib.auth.hashers import MD5PasswordHasher

    made = []
    encode = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *a, **k: made.append(1) or encode(*a, **k))
    # When a known and an unknown name are tried
    sign_in(client, password="wrong")
    known = len(made)
    sign_in(client, username="nobody")
    # Then both cost the same
    assert known == len(made) - known == 1


def test_a_deactivated_user_can_neither_sign_in_nor_refresh(client, alice):
    # Given a refresh token of a user who was then deactivated
    refresh = sign_in(client).json()["refresh"]
    alice.is_active = False
    alice.save()
    # Then neither way leads in
    assert sign_in(client).status_code == 401
    assert client.post("/api/v1/token/refresh", {"refresh": refresh}).json()["code"] == "session_ended"


def test_a_refresh_token_gives_a_working_access_token(client, alice):
    # Given a refresh token
    refresh = sign_in(client).json()["refresh"]
    # When it is used
    response = client.post("/api/v1/token/refresh", {"refresh": refresh})
    # Then the new access token works
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['access']}")
    assert client.get("/api/v1/users/me").json()["id"] == str(alice.pk)


def test_a_new_password_ends_the_refresh_tokens_of_the_old_one(client, alice):
    # Given a refresh token
    refresh = sign_in(client).json()["refresh"]
    # When the password is changed
    with transaction.atomic():
        services.change_profile(user_id=alice.pk, password="another-horse-9")
    # Then the token is refused
    response = client.post("/api/v1/token/refresh", {"refresh": refresh})
    assert (response.status_code, response.json()["code"]) == (401, "session_ended")


def test_the_staff_claim_is_the_users_staff_status(client, alice):
    # Given a user who is staff
    alice.is_staff = True
    alice.save()
    # Then the token says so
    assert jwt.decode(sign_in(client).json()["access"], options={"verify_signature": False})["staff"] is True


def test_an_access_token_does_not_refresh(client, alice):
    # When an access token is used to refresh
    response = client.post("/api/v1/token/refresh", {"refresh": sign_in(client).json()["access"]})
    # Then it is refused
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
