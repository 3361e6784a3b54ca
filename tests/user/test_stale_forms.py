"""A form of the admin that was opened before somebody else changed the user brings nothing back."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from tests.opened_form import opened
from tests.user.test_admin import USERS, admin_client, form, root
from user_app.models import User

__all__ = ["admin_client", "root"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("later", [{"is_active": False}, {"is_staff": False}, {"email": "new@example.com"}])
def test_a_form_that_was_opened_before_another_change_is_refused(admin_client, alice, published, later):
    # Given a form that was opened while alice was active and staff, and what happened since
    User.objects.update(is_staff=True)
    page = f"{USERS}{alice.pk}/change/"
    old = opened(admin_client, page)
    User.objects.filter(pk=alice.pk).update(**later)
    # When it is saved with another name
    response = admin_client.post(page, {**old, "username": "alicia"})
    # Then nothing comes back
    assert response.status_code == 200
    alice.refresh_from_db()
    assert {name: getattr(alice, name) for name in later} == later
    assert (alice.username, published()) == ("alice", [])


def test_a_right_that_was_taken_away_does_not_come_back_by_an_old_form(admin_client, alice):
    # Given a form that was opened while alice had a permission
    alice.user_permissions.set(Permission.objects.filter(codename="view_user"))
    page = f"{USERS}{alice.pk}/change/"
    old = form(admin_client, alice, user_permissions=[alice.user_permissions.get().pk])
    alice.user_permissions.clear()
    # When it is saved
    response = admin_client.post(page, {**old, "username": "alicia"})
    # Then the permission stays away
    assert (response.status_code, alice.user_permissions.count()) == (200, 0)


def test_a_new_password_does_not_make_a_form_stale(admin_client, alice):
    # Given a form that was opened before alice changed her password
    page = f"{USERS}{alice.pk}/change/"
    old = opened(admin_client, page)
    alice.set_password("new-horse-battery-8")
    alice.save()
    # When it is saved
    response = admin_client.post(page, {**old, "username": "alicia"})
    # Then the name is stored and the new password stays
    alice.refresh_from_db()
    assert (response.status_code, alice.username, alice.check_password("new-horse-battery-8")) == (302, "alicia", True)
