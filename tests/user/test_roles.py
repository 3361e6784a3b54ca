"""The roles in a token: the groups of staff, as they are when it is signed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from tests.user.test_sessions import ME, SESSIONS, bearer, claims, ended, later, refresh, sign_in, signed_in
from user_app.models import User
from user_app.sessions import start_session

__all__ = ["signed_in"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_roles_are_the_groups_of_staff(client, alice):
    # Given a user in the group of a role, and in another group
    alice.groups.add(*(Group.objects.get_or_create(name=name)[0] for name in ("catalog", "friends")))
    # Then it has no role while it is not staff
    assert roles(client) == []
    # And as staff it has that one, as superuser all
    User.objects.update(is_staff=True)
    assert roles(client) == ["catalog"]
    User.objects.update(is_superuser=True)
    assert roles(client) == ["catalog", "marketing", "operator", "supervisor", "viewer"]


def roles(client):
    return claims(sign_in(client)["access"])["roles"]


def test_a_refresh_brings_the_roles_of_now(signed_in, alice):
    # Given a user who became staff after the sign-in
    User.objects.update(is_staff=True)
    alice.groups.add(Group.objects.get_or_create(name="marketing")[0])
    # Then the next access token says so
    assert claims(refresh(signed_in["refresh"]).json()["access"])["roles"] == ["marketing"]


def test_only_a_superuser_renames_a_group(alice, client):
    # Given staff with every permission of groups, and a group of theirs
    User.objects.update(is_staff=True)
    alice.user_permissions.add(*Permission.objects.filter(content_type__app_label="auth"))
    friends = Group.objects.create(name="friends")
    browser = Client()
    browser.force_login(User.objects.get())
    # When they give it the name of a role
    page = f"/admin/auth/group/{friends.pk}/change/"
    assert browser.post(page, {"name": "supervisor"}).status_code == 403
    # Then it keeps its own, and they add no group either
    assert browser.post("/admin/auth/group/add/", {"name": "supervisor"}).status_code == 403
    assert Group.objects.get(pk=friends.pk).name == "friends"


def test_a_session_of_the_password_before_is_not_open(alice):
    # Given a password that was changed between the check and the start of the session
    before = User.objects.get()
    alice.set_password("another-horse-9")
    alice.save()
    # When the session starts
    tokens = start_session(user=before)
    # Then nobody goes on in it
    assert ended(bearer(tokens.access).get(ME))
    assert ended(refresh(tokens.refresh))


def test_a_session_whose_token_expired_is_not_listed(signed_in, client):
    # Given a session that was last refreshed two days ago, and one of now
    later(days=2)
    sign_in(client, device="laptop")
    # Then only the one that can go on is shown
    shown = bearer(sign_in(client, device="tablet")["access"]).get(SESSIONS).json()
    assert [each["device"] for each in shown] == ["tablet", "laptop"]
