"""Failed sign-ins are counted and held up; successful ones are not."""

from __future__ import annotations

import pytest

from tests.user.conftest import PASSWORD
from webapi import sign_in_limits
from webapi.limits import Limit

pytestmark = pytest.mark.django_db(transaction=True)


def attempt(client, username="alice", password="wrong", **headers):
    return client.post("/api/v1/token", {"username": username, "password": password}, **headers)


def test_the_21st_failure_in_a_minute_waits(client, alice):
    # Given 20 failures, in whatever case and from whatever address the name was tried
    for n in range(20):
        tried = attempt(client, "alice" if n % 2 else "ALICE", REMOTE_ADDR=f"10.0.0.{n}")
        assert tried.status_code == 401
    # Then even the right password waits, and the answer says how long
    response = attempt(client, password=PASSWORD, REMOTE_ADDR="10.0.1.1")
    assert (response.status_code, response.json()["code"]) == (429, "throttled")
    assert 0 < int(response["Retry-After"]) <= 60


def test_another_spelling_of_a_name_is_no_new_name_to_guess_at(client, alice):
    # Given failures at a name, half of them in full-width letters, which mean the same name
    for n in range(20):
        assert attempt(client, "alice" if n % 2 else "ａｌｉｃｅ").status_code == 401
    # Then it waits, however it is spelled
    assert attempt(client, password=PASSWORD).status_code == 429
    assert attempt(client, "ａｌｉｃe", password=PASSWORD).status_code == 429


def test_failures_at_one_name_do_not_hold_up_another(client, alice):
    # Given somebody else's failures
    for _ in range(21):
        attempt(client, "bob")
    # Then alice signs in
    assert attempt(client, password=PASSWORD).status_code == 200


def test_success_is_never_counted(client, alice):
    # When alice signs in often
    outcomes = {attempt(client, password=PASSWORD).status_code for _ in range(30)}
    # Then it always works
    assert outcomes == {200}


def test_many_names_from_one_address_are_held_up(client, alice, monkeypatch):
    # Given failures at as many names as one address may try
    monkeypatch.setattr(sign_in_limits, "PER_ADDRESS", Limit("few", 3))
    for n in range(3):
        assert attempt(client, f"user{n}").status_code == 401
    # Then the address waits, and another does not
    assert attempt(client, "user9").status_code == 429
    assert attempt(client, "user9", REMOTE_ADDR="10.0.0.9").status_code == 401


@pytest.mark.parametrize("body", ["[1]", '{"username": ["a"], "password": {}}', '{"username": 1}', "{}"])
def test_a_strange_body_is_a_400(client, body):
    # When the body is not what it should be
    response = client.post("/api/v1/token", body, content_type="application/json")
    # Then it is a problem of the caller's
    assert response.status_code == 400
