"""The user service's admin."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client

from messaging import new_id
from messaging.models import OutboxRow
from messaging.testing import deliver
from tests.opened_form import seen
from tests.user.conftest import PASSWORD
from tests.user.test_purchases import confirmed
from user_app import services
from user_app.models import Purchase, User

pytestmark = pytest.mark.django_db(transaction=True)

USERS = "/admin/user_app/user/"
PURCHASES = "/admin/user_app/purchase/"


@pytest.fixture
def root(transactional_db):
    return User.objects.create_superuser("root", "root@example.com", PASSWORD)


@pytest.fixture
def admin_client(root):
    client = Client()
    client.force_login(root)
    return client


def form(client, user, **changes):
    """The change form of `user` as a browser opens it and sends it."""
    fields = {"username": user.username, "email": user.email, "is_active": "on" if user.is_active else ""}
    opened = seen(client, f"{USERS}{user.pk}/change/")
    return {name: value for name, value in {**fields, **opened, **changes}.items() if value != ""}


def test_a_user_deactivated_in_the_form_is_published(admin_client, alice, published):
    # When the box is cleared and saved
    response = admin_client.post(f"{USERS}{alice.pk}/change/", form(admin_client, alice, is_active=""))
    # Then the user is deactivated and others hear of it
    assert response.status_code == 302
    assert published() == [{"user_id": str(alice.pk), "version": 2, "active": False}]


def test_a_user_made_staff_in_the_form_is_published(admin_client, alice, published):
    # When the staff box is set
    admin_client.post(f"{USERS}{alice.pk}/change/", form(admin_client, alice, is_staff="on"))
    # Then the version has moved
    assert published() == [{"user_id": str(alice.pk), "version": 2, "active": True}]


def test_a_new_address_in_the_form_is_not_published(admin_client, alice, published):
    # When something of no concern to others changes
    admin_client.post(f"{USERS}{alice.pk}/change/", form(admin_client, alice, email="other@example.com"))
    # Then it is stored and not published
    assert User.objects.get(pk=alice.pk).email == "other@example.com"
    assert published() == []


def test_a_user_added_in_the_admin_is_published(admin_client, published):
    # When staff add a user
    body = {"username": "carol", "email": "c@example.com", "usable_password": "true"}
    response = admin_client.post(f"{USERS}add/", {**body, "password1": PASSWORD, "password2": PASSWORD})
    # Then it is published like a registration
    assert response.status_code == 302
    assert published() == [{"user_id": str(User.objects.get(username="carol").pk), "version": 1, "active": True}]


def test_a_password_set_in_the_admin_publishes_nothing_and_keeps_the_version(admin_client, alice, published):
    # Given a user of a higher version
    with transaction.atomic():
        services.set_active(user_id=alice.pk, active=False)
        services.set_active(user_id=alice.pk, active=True)
    OutboxRow.objects.all().delete()
    # When an operator sets a password
    body = {"usable_password": "true", "password1": "new-horse-battery-8", "password2": "new-horse-battery-8"}
    response = admin_client.post(f"{USERS}{alice.pk}/password/", body)
    # Then only the password changed
    assert response.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("new-horse-battery-8")
    assert (alice.version, alice.is_active, published()) == (3, True, [])


def test_the_actions_deactivate_and_reactivate_but_never_oneself(admin_client, root, alice, published):
    # When everybody is chosen
    both = [str(root.pk), str(alice.pk)]
    admin_client.post(USERS, {"action": "deactivate", "_selected_action": both})
    # Then all but the one who asks are deactivated, published, and it is logged who did it
    assert set(User.objects.filter(is_active=True)) == {root}
    assert published() == [{"user_id": str(alice.pk), "version": 2, "active": False}]
    assert LogEntry.objects.get().user_id == root.pk
    # And doing it again changes nothing
    admin_client.post(USERS, {"action": "deactivate", "_selected_action": both})
    assert len(published()) == 1
    # And it can be undone
    admin_client.post(USERS, {"action": "reactivate", "_selected_action": both})
    assert published()[1:] == [{"user_id": str(alice.pk), "version": 3, "active": True}]


def test_nobody_is_deleted(admin_client, alice):
    # When deleting is tried
    response = admin_client.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"})
    # Then it is refused, by the action too
    assert response.status_code == 403
    admin_client.post(USERS, {"action": "delete_selected", "_selected_action": [str(alice.pk)], "post": "yes"})
    assert User.objects.filter(pk=alice.pk).exists()


def test_staff_who_may_edit_users_cannot_make_themselves_more(alice):
    # Given a member of staff with the permission to change users
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    alice.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    client = Client()
    client.force_login(alice)
    # When it claims everything
    client.post(f"{USERS}{alice.pk}/change/", form(client, alice, is_staff="on", is_superuser="on"))
    # Then it is not given
    alice.refresh_from_db()
    assert (alice.is_staff, alice.is_superuser) == (True, False)


@pytest.fixture
def clerk(alice):
    """Staff, no superuser, who may change users."""
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    alice.user_permissions.set(Permission.objects.filter(codename__in=["change_user", "view_user"]))
    alice.refresh_from_db()
    return alice


@pytest.fixture
def clerk_client(clerk):
    client = Client()
    client.force_login(clerk)
    return client


@pytest.fixture(params=[{"is_superuser": True, "is_staff": True}, {"is_superuser": True}, {"is_staff": True}])
def mighty(request, transactional_db):
    """Somebody who may more than a customer."""
    return User.objects.create_user("mighty", "mighty@example.com", PASSWORD, **request.param)


NEW_PASSWORD = {"usable_password": "true", "password1": "new-horse-battery-8", "password2": "new-horse-battery-8"}


def test_staff_who_may_edit_users_cannot_take_over_an_account_that_may_more(clerk_client, mighty):
    # When its password, or the address to which a new one may be sent, is changed
    password = clerk_client.post(f"{USERS}{mighty.pk}/password/", NEW_PASSWORD)
    address = clerk_client.post(f"{USERS}{mighty.pk}/change/", {"username": "mighty", "email": "clerk@example.com"})
    # Then both are refused
    assert (password.status_code, address.status_code) == (403, 403)
    mighty.refresh_from_db()
    assert mighty.check_password(PASSWORD)
    assert mighty.email == "mighty@example.com"


@pytest.mark.parametrize("action", ["deactivate", "reactivate"])
def test_staff_who_may_edit_users_cannot_switch_an_account_that_may_more(clerk_client, mighty, action, published):
    # Given an account that the action would change
    before = action == "deactivate"
    User.objects.filter(pk=mighty.pk).update(is_active=before)
    # When it is chosen
    clerk_client.post(USERS, {"action": action, "_selected_action": [str(mighty.pk)]})
    # Then it is left alone
    mighty.refresh_from_db()
    assert mighty.is_active == before
    assert published() == []


def test_staff_who_may_edit_users_still_edit_customers_and_themselves(clerk, clerk_client):
    # Given a customer
    with transaction.atomic():
        customer = services.register_user(username="carol", email="c@example.com", password=PASSWORD)
    # When the customer's and the clerk's own data are changed
    for user in (customer, clerk):
        changed = clerk_client.post(
            f"{USERS}{user.pk}/change/", form(clerk_client, user, email=f"new-{user.username}@example.com")
        )
        # Then it is stored
        assert changed.status_code == 302
        user.refresh_from_db()
        assert user.email == f"new-{user.username}@example.com"
    # And customers are switched and get new passwords
    assert clerk_client.post(f"{USERS}{customer.pk}/password/", NEW_PASSWORD).status_code == 302
    clerk_client.post(USERS, {"action": "deactivate", "_selected_action": [str(customer.pk)]})
    customer.refresh_from_db()
    assert not customer.is_active


@pytest.mark.parametrize("query", ["", "?q=alice", "?is_active__exact=1", "?is_staff__exact=0"])
def test_users_are_listed_searched_and_filtered(admin_client, alice, query):
    # When the list is asked for
    response = admin_client.get(USERS + query)
    # Then alice is in it
    assert response.status_code == 200
    assert b"alice@example.com" in response.content


def test_purchases_are_shown_and_cannot_be_touched(admin_client):
    # Given a purchase
    order_id = new_id()
    deliver(confirmed(order_id))
    # Then it is listed, found and shown
    for address in (PURCHASES, f"{PURCHASES}?q={order_id}", f"{PURCHASES}?state__exact=COUNTED"):
        assert str(order_id).encode() in admin_client.get(address).content
    assert admin_client.get(f"{PURCHASES}{order_id}/change/").status_code == 200
    # And every way to change it is closed
    assert admin_client.get(f"{PURCHASES}add/").status_code == 403
    assert admin_client.post(f"{PURCHASES}{order_id}/change/", {"state": "CANCELED"}).status_code == 403
    assert admin_client.post(f"{PURCHASES}{order_id}/delete/", {"post": "yes"}).status_code == 403
    assert Purchase.objects.get().state == "COUNTED"
