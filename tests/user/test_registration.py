"""POST /users."""

from __future__ import annotations

import pytest
from django.db import transaction

from messaging.models import OutboxRow
from tests.user.conftest import PASSWORD
from user_app import services
from user_app.models import User

pytestmark = pytest.mark.django_db(transaction=True)

#: One character that is eighteen when it is normalised, blanks among them.
GROWING = "ﷺ"
NEW = {"username": "bob", "email": "bob@example.com", "password": PASSWORD}


def sign_in(client, username):
    return client.post("/api/v1/token", {"username": username, "password": PASSWORD})


def test_a_registered_user_gets_an_id_and_can_sign_in(client):
    # When somebody registers
    response = client.post("/api/v1/users", NEW)
    # Then the answer holds the id, and no password
    assert response.status_code == 201
    assert response.json()["id"] == str(User.objects.get().pk)
    assert "password" not in response.json()
    # And the new user can sign in
    assert sign_in(client, "bob").status_code == 200


def test_a_registration_is_published_without_anything_personal(client, published):
    # When somebody registers
    user_id = client.post("/api/v1/users", NEW).json()["id"]
    # Then the event names the id, the version, and that the user is active
    assert published() == [{"user_id": user_id, "version": 1, "active": True}]
    assert OutboxRow.objects.get().type == "user.UserChanged.v1"
    assert OutboxRow.objects.get().key == user_id


@pytest.mark.parametrize("name", ["bob", "BOB", "Bob"])
def test_a_taken_username_is_refused_in_any_case_and_publishes_nothing(client, published, name):
    # Given bob
    client.post("/api/v1/users", NEW)
    # When somebody else wants the name
    response = client.post("/api/v1/users", {**NEW, "username": name})
    # Then the answer says so, and only the first was published
    assert response.status_code == 409
    assert response.json()["code"] == "username_taken"
    assert len(published()) == User.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "short"),
        ("password", "password1234"),
        ("password", "9182736450912"),
        ("password", "bob@example.com"),
        ("password", "x" * 257),
        ("email", "nowhere"),
        ("email", None),
        ("username", ""),
        ("username", "white space"),
        ("username", "nul\x00"),
        ("username", "x" * 151),
        ("username", GROWING),
        ("username", GROWING * 50),
        ("username", "ﬃ" * 51),
        ("email", f"bob@{'İ' * 60}.{'İ' * 60}.{'İ' * 60}.com"),
        ("username", ["bob"]),
    ],
)
def test_a_bad_value_is_refused_by_field(client, published, field, value):
    # When a field is not acceptable
    response = client.post("/api/v1/users", {**NEW, field: value})
    # Then the problem names the field, and nothing was stored
    assert response.status_code == 400
    assert response.json()["code"] == "validation_failed"
    assert list(response.json()["errors"]) == [field]
    assert published() == []


@pytest.mark.parametrize("name", ["ﬃ" * 50, "ｂｏｂ", "ｅ\u0301"])
def test_a_user_signs_in_with_the_name_that_was_given_and_with_the_one_that_is_stored(client, name):
    # Given a name that is stored in another spelling
    stored = client.post("/api/v1/users", {**NEW, "username": name}).json()["username"]
    assert stored != name
    # Then both sign in
    for each in (name, stored):
        assert sign_in(client, each).status_code == 200


def test_nobody_registers_as_staff(client):
    # When the body claims more than registration gives
    claims = {"is_staff": True, "staff": True, "is_superuser": True}
    refused = client.post("/api/v1/users", {**NEW, **claims})
    # Then each claim is refused by name, and nobody is registered
    assert (refused.status_code, refused.json()["errors"].keys()) == (400, claims.keys())
    assert not User.objects.exists()
    # And without them it is a user like any other
    client.post("/api/v1/users", NEW)
    assert User.objects.values_list("is_staff", "is_superuser").get() == (False, False)


def test_a_registration_that_rolls_back_publishes_nothing(published):
    # When the transaction of a registration does not commit
    with pytest.raises(RuntimeError), transaction.atomic():
        services.register_user(**NEW)
        raise RuntimeError
    # Then neither the user nor the event exists
    assert published() == []
    assert not User.objects.exists()
