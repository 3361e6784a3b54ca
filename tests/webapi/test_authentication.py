"""Bearer tokens at a service that knows the user service only by its JWK set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.urls import path
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.webapi.conftest import SOMEBODY, signed_in
from webapi.permissions import has_role, needs_role
from webapi.roles import Role

pytestmark = pytest.mark.urls(__name__)


class Whoami(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request):
        user = request.user
        return Response({"id": user.id, "pk": user.pk, "staff": user.is_staff, "active": user.is_active})


class StaffRoom(APIView):
    permission_classes = (needs_role(frozenset({Role.CATALOG, Role.OPERATOR})),)

    def get(self, request):
        return Response({})


class Lobby(APIView):
    permission_classes = (AllowAny,)

    def get(self, request):
        return Response({"known": bool(request.user and request.user.is_authenticated)})


urlpatterns = [
    path("api/v1/whoami", Whoami.as_view()),
    path("api/v1/staff-room", StaffRoom.as_view()),
    path("api/v1/lobby", Lobby.as_view()),
]


def test_a_genuine_token_tells_who_calls(issuer):
    # When a token of the user service is sent
    response = signed_in(issuer.token("k1", sub=str(SOMEBODY))).get("/api/v1/whoami")
    # Then the caller is known by id, with one request for the keys
    assert response.json() == {"id": str(SOMEBODY), "pk": str(SOMEBODY), "staff": False, "active": True}
    assert issuer.requests == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["somewhere-else"]},
        {"iss": "somebody-else"},
        {"typ": "refresh"},
        {"sub": "no id"},
        {"exp": None},
        {"exp": datetime.now(UTC) - timedelta(minutes=1)},
        {"exp": "soon"},
        {"sub": None},
        {"jti": None},
        {"aud": None},
    ],
)
def test_a_token_with_a_wrong_claim_is_a_401(issuer, changes):
    # When one claim is wrong
    response = signed_in(issuer.token("k1", **changes)).get("/api/v1/whoami")
    # Then it is refused, with a challenge
    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer realm=")


def test_a_foreign_signature_under_a_known_key_id_is_a_401(issuer):
    # When somebody else signs
    response = signed_in(issuer.token("k1", key=Ed25519PrivateKey.generate())).get("/api/v1/whoami")
    # Then it is refused
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


@pytest.mark.parametrize("token", ["a.b.c", "", "é.é.é", "eyJhbGciOiJFZERTQSJ9.e30.", "e30.e30.e30", "x" * 5000])
def test_junk_is_a_401_and_asks_nobody(issuer, token):
    # When something that is no token is sent
    client = signed_in("x")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    # Then it is refused without a request to the user service
    assert client.get("/api/v1/whoami").status_code == 401
    assert issuer.requests == 0


def test_a_wrong_token_is_refused_even_where_none_is_needed(issuer):
    # When a forged token is sent to an open address
    response = signed_in(issuer.token("k1", key=Ed25519PrivateKey.generate())).get("/api/v1/lobby")
    # Then it is refused, and without one the address is open
    assert response.status_code == 401


def test_without_a_token_an_open_address_is_open(client, issuer):
    # When there is none
    response = client.get("/api/v1/lobby", HTTP_AUTHORIZATION="Basic eDp5")
    # Then nobody is known
    assert response.json() == {"known": False}


@pytest.mark.parametrize(("staff", "status"), [(True, 200), (False, 403), (None, 403), ("true", 403), (1, 403)])
def test_only_the_claim_staff_true_makes_staff(issuer, staff, status):
    # When the claim is anything
    response = signed_in(issuer.token("k1", staff=staff, roles=["catalog"])).get("/api/v1/staff-room")
    # Then only true opens the door
    assert response.status_code == status
    assert status == 200 or response.json()["code"] == "staff_only"


@pytest.mark.parametrize(
    ("roles", "status"),
    [
        (["catalog"], 200),
        (["viewer", "operator"], 200),
        (["viewer", "marketing"], 403),
        (["a-role-of-next-year", "catalog"], 200),
        ([], 403),
        (None, 403),
        ("catalog", 403),
        ({"catalog": True}, 403),
        ([["catalog"], 1, None], 403),
        (["CATALOG"], 403),
    ],
)
def test_staff_needs_one_of_the_roles_of_an_endpoint(issuer, roles, status):
    # When staff with these roles asks
    response = signed_in(issuer.token("k1", staff=True, roles=roles)).get("/api/v1/staff-room")
    # Then one of the endpoint's roles lets it in; else the answer names them
    assert response.status_code == status
    if status == 403:
        assert response.json()["code"] == "role_missing"
        assert "catalog or operator" in response.json()["detail"]


def test_a_user_without_roles_has_none():
    # Then a row of a user table is no staff of an endpoint, and no error
    assert not has_role(SimpleNamespace(is_staff=True), frozenset(Role))
    assert not has_role(None, frozenset(Role))


def test_staff_only_without_a_token_is_a_401(client, issuer):
    # When nobody is signed in
    response = client.get("/api/v1/staff-room")
    # Then it is first of all that
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_without_keys_the_answer_is_a_503_that_says_when_to_come_back(issuer):
    # Given a user service that is down from the start
    issuer.answer = (503, "")
    # When a token is sent
    response = signed_in(issuer.token("k1")).get("/api/v1/whoami")
    # Then it is not called wrong
    assert (response.status_code, response.json()["code"]) == (503, "keys_unavailable")
    assert response["Retry-After"] == "1"


def test_a_known_key_outlives_the_user_service(issuer):
    # Given a process that has judged a token
    client = signed_in(issuer.token("k1"))
    assert client.get("/api/v1/whoami").status_code == 200
    # When the user service goes down
    issuer.answer = (503, "")
    # Then tokens go on working
    assert client.get("/api/v1/whoami").status_code == 200
