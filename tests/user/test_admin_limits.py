"""The admin's forms that look at a password count failures as the API does."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.user.conftest import PASSWORD
from tests.user.test_limits_under_attack import LOGIN, NO_REDIS
from tests.user.test_sign_in_limits import attempt
from user_app.models import User
from webapi import limits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("given", [{"password": ""}, {}, {"username": "", "password": PASSWORD}])
def test_a_login_that_guesses_nothing_makes_no_address_known(alice, given):
    # When somebody sends the form without a password, or without a name
    page = Client().post(LOGIN, {"username": "alice", **given}, REMOTE_ADDR="10.9.9.9")
    # Then it is refused, and the limits treat the address as before
    assert page.status_code == 200
    assert not limits.is_known("alice", "10.9.9.9")
    assert not limits.is_known("", "10.9.9.9")


def test_a_stolen_admin_session_does_not_guess_the_password(alice):
    # Given staff who is signed in
    User.objects.update(is_staff=True)
    browser = Client()
    browser.force_login(User.objects.get())
    # When the form for another password is tried with wrong ones
    new = {"new_password1": "another-horse-9", "new_password2": "another-horse-9"}
    for _ in range(20):
        assert b"Too many" not in browser.post("/admin/password_change/", {"old_password": "x", **new}).content
    # Then the right one waits too
    assert b"Too many attempts" in browser.post("/admin/password_change/", {"old_password": PASSWORD, **new}).content
    assert User.objects.get().check_password(PASSWORD)


def test_staff_changes_its_password_and_every_session_ends(alice):
    # Given staff with a session of the API
    User.objects.update(is_staff=True)
    tokens = APIClient().post("/api/v1/token", {"username": "alice", "password": PASSWORD}).json()
    browser = Client()
    browser.force_login(User.objects.get())
    # When it changes the password in the admin
    new = {"new_password1": "another-horse-9", "new_password2": "another-horse-9"}
    answer = browser.post("/admin/password_change/", {"old_password": PASSWORD, **new})
    # Then Django says so, and the session is over
    assert answer["Location"] == "/admin/password_change/done/"
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    assert client.get("/api/v1/users/me").json()["code"] == "session_ended"


def test_the_admin_counts_failures_as_the_api_does(alice):
    # Given staff, and ten guesses at the admin and ten at the API
    User.objects.update(is_staff=True)
    for _ in range(10):
        assert b"Please enter the correct" in Client().post(LOGIN, {"username": "Alice", "password": "x"}).content
        assert attempt(APIClient()).status_code == 401
    # Then the right password waits at both
    assert b"Too many attempts" in Client().post(LOGIN, {"username": "alice", "password": PASSWORD}).content
    assert attempt(APIClient(), password=PASSWORD).status_code == 429


def test_the_admin_lets_in_staff_who_mistyped_and_nobody_without_redis(alice, settings):
    # Given staff who mistyped the password
    User.objects.update(is_staff=True)
    browser = Client()
    browser.post(LOGIN, {"username": "alice", "password": "wrong"})
    # Then the right one opens the admin
    assert browser.post(LOGIN, {"username": "alice", "password": PASSWORD}).status_code == 302
    # And without Redis the form says what is wrong
    settings.RATE_LIMIT_URL = NO_REDIS
    assert b"Redis does not answer" in Client().post(LOGIN, {"username": "alice", "password": PASSWORD}).content
