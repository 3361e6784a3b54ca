"""The user service without its database."""

from __future__ import annotations

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_database(as_alice):
    """Point the connection at a port where nothing listens."""
    connection.close()
    kept = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = "9"
    yield
    connection.close()
    connection.settings_dict["PORT"] = kept


@pytest.mark.parametrize("address", ["/api/v1/users/me", "/api/v1/users/me/purchases"])
def test_without_a_database_a_read_is_a_503_that_says_when_to_come_back(as_alice, no_database, address):
    # When the database is gone
    response = as_alice.get(address)
    # Then the answer asks to try again, and shows nothing internal
    assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
    assert response["Retry-After"] == "1"
    assert b"127.0.0.1" not in response.content


BOB = {"username": "bob", "password": "correct-horse-battery-7"}


@pytest.mark.parametrize(
    ("address", "body"), [("/api/v1/users", {**BOB, "email": "bob@example.com"}), ("/api/v1/token", BOB)]
)
def test_without_a_database_nobody_registers_or_signs_in(as_alice, no_database, client, address, body):
    # When the database is gone
    # Then it is a 503, not wrong credentials
    assert client.post(address, body).status_code == 503


def test_without_a_database_the_keys_are_still_shown(client, no_database):
    # When the database is gone, then the other services still find the keys
    assert client.get("/.well-known/jwks.json").status_code == 200
