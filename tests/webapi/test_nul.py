"""The character NUL, which PostgreSQL cannot store, wherever a request can have it outside a JSON body."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

#: As RFC 6265's predecessors quote it; Python's cookies read it so.
NUL_IN_COOKIE = '"a\\000b"'


@pytest.mark.parametrize("name", ["user_session", "user_csrf", "django_language", "messages", "any"])
def test_nul_in_a_cookie_is_a_400(client: APIClient, name: str) -> None:
    answer = client.get("/admin/login/", headers={"Cookie": f"{name}={NUL_IN_COOKIE}"})

    assert answer.status_code == 400


PATHS = (
    "/admin/user_app/user/?q=%00",
    "/admin/user_app/user/?is_active__exact=%00&o=%00",
    "/admin/user_app/user/%00/change/",
    "/admin/%00",
    "/api/schema?format=%00",
)


@pytest.mark.parametrize("path", PATHS)
def test_nul_in_an_address_is_a_400(admin_client: Client, path: str) -> None:
    admin_client.raise_request_exception = False

    assert admin_client.get(path).status_code == 400


@pytest.mark.parametrize("field", ["username", "password", "next", "a\x00b"])
def test_nul_in_a_form_is_a_400(client: APIClient, field: str) -> None:
    answer = client.post("/admin/login/", {field: "a\x00b"}, format="multipart")

    assert answer.status_code == 400


def test_under_the_api_it_is_a_problem(client: APIClient) -> None:
    answer = client.get("/api/v1/users/me?a=%00")

    assert (answer.status_code, answer.json()["code"]) == (400, "nul_character")
    assert answer["Content-Type"] == "application/problem+json"


def test_a_form_for_the_api_is_still_a_415(client: APIClient) -> None:
    answer = client.post("/api/v1/token", {"username": "a\x00b"}, format="multipart")

    assert answer.status_code == 415
