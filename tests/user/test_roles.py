"""The roles in a token: the groups of staff, as they are when it is signed."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from tests.user.test_sessions import claims, refresh, sign_in, signed_in
from user_app.models import User

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
