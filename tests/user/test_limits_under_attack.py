"""Limits on sign-ins against forged addresses, attempts at once, and a stranger who wants to lock the owner out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import pytest
from django.db import OperationalError, connection
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from tests.user.conftest import PASSWORD
from tests.user.test_sign_in_limits import attempt
from user_app import services
from webapi import limits, sign_in_limits
from webapi.limits import Limit

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN = "/admin/login/"
NO_REDIS = "redis://127.0.0.1:1/0"


def outcomes(client, attempts):
    """The status of each attempt at a name of its own."""
    return [attempt(client, f"user{n}", **headers).status_code for n, headers in enumerate(attempts)]


def test_an_owner_is_not_locked_out_by_a_stranger_who_guesses(client, alice):
    # Given an owner who signed in from home, and a stranger who guesses until the name waits
    assert attempt(client, password=PASSWORD, REMOTE_ADDR="10.0.0.1").status_code == 200
    while attempt(client, REMOTE_ADDR="10.9.9.9").status_code == 401:
        pass
    # Then the owner signs in from home, and the stranger waits even with the right password
    assert attempt(client, password=PASSWORD, REMOTE_ADDR="10.0.0.1").status_code == 200
    assert attempt(client, password=PASSWORD, REMOTE_ADDR="10.9.9.9").status_code == 429


def test_guesses_from_a_known_address_wait_too(client, alice):
    # Given an address where alice signed in
    attempt(client, password=PASSWORD)
    # When somebody there guesses
    answers = [attempt(client).status_code for _ in range(21)]
    # Then the 21st waits
    assert answers == [401] * 20 + [429]


def test_attempts_at_once_pass_no_limit_together(alice):
    # When 60 guesses arrive, twenty at once
    def guess(_):
        try:
            return attempt(APIClient()).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(guess, range(60)))
    # Then 20 were looked at, no more
    assert (answers.count(401), answers.count(429)) == (20, 40)


@pytest.mark.parametrize("header", ["10.0.0.{n}", "10.0.0.{n}, 10.1.1.{n}", "2001:db8::{n}", "nonsense {n}"])
def test_a_forged_forwarded_for_is_no_other_address(client, monkeypatch, header):
    # Given a service without a proxy
    monkeypatch.setattr(sign_in_limits, "PER_ADDRESS", Limit("few", 5))
    # When a caller changes name and X-Forwarded-For each time
    attempts = [{"HTTP_X_FORWARDED_FOR": header.format(n=n)} for n in range(10)]
    # Then the sixth attempt waits
    assert outcomes(client, attempts) == [401] * 5 + [429] * 5


def test_behind_a_proxy_the_address_that_the_proxy_saw_counts(client, monkeypatch):
    # Given one proxy, which adds the caller's address to whatever the caller sent
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    monkeypatch.setattr(sign_in_limits, "PER_ADDRESS", Limit("few", 1))
    # When two callers fail, one of them twice with another forged part
    seen = ["1.1.1.1, 10.0.0.1", "2.2.2.2, 10.0.0.1", "10.0.0.2"]
    # Then each has its own count
    assert outcomes(client, [{"HTTP_X_FORWARDED_FOR": each} for each in seen]) == [401, 429, 401]


def test_a_network_of_ipv6_is_one_address(client, monkeypatch):
    # Given a caller with all addresses of its network
    monkeypatch.setattr(sign_in_limits, "PER_ADDRESS", Limit("few", 2))
    addresses = ["2001:db8::1", "2001:db8::2", "2001:db8::dead:beef", "2001:db8:0:1::1"]
    # Then three of them are one, and the next network is another
    assert outcomes(client, [{"REMOTE_ADDR": each} for each in addresses]) == [401, 401, 429, 401]


def test_without_redis_nobody_signs_in_and_the_answer_says_so(client, alice, settings):
    # Given a Redis that does not answer
    settings.RATE_LIMIT_URL = NO_REDIS
    # Then a sign-in is a 503 that can be tried again, with the right password too
    response = attempt(client, password=PASSWORD)
    assert (response.status_code, response.json()["code"]) == (503, "limits_unavailable")
    assert response["Retry-After"] == "1"


def test_a_database_that_fails_is_no_failed_guess(client, alice, monkeypatch):
    # Given a database that fails 30 times
    with monkeypatch.context() as patched:
        patched.setattr(services, "authenticate", Mock(side_effect=OperationalError))
        assert {attempt(client).status_code for _ in range(30)} == {503}
    # Then nothing was counted
    assert attempt(client, password=PASSWORD).status_code == 200


def test_a_refusal_says_how_much_is_left_as_the_standard_does(client, alice):
    # When a name waits
    while (response := attempt(client)).status_code == 401:
        pass
    # Then the answer has the RateLimit fields
    assert response["RateLimit-Policy"] == '"sign-in-failures";q=20;w=60'
    assert response["RateLimit"] == f'"sign-in-failures";r=0;t={response["Retry-After"]}'


def test_registrations_from_one_address_are_limited(client, settings):
    # Given two attempts a minute
    settings.REGISTRATIONS_PER_MINUTE = 2
    bodies = [{"username": f"bob{n}", "email": "b@example.com", "password": PASSWORD} for n in range(4)]
    # Then the third waits before anything is looked at, and so does one that would tell whether a name is taken
    answers = [client.post("/api/v1/users", body).status_code for body in [*bodies, bodies[0]]]
    assert answers == [201, 201, 429, 429, 429]


def test_wrong_current_passwords_are_limited_by_account(as_alice):
    # When a stolen access token is used to guess the password
    body = {"active": False, "current_password": "wrong"}
    answers = [as_alice.patch("/api/v1/users/me", body).status_code for _ in range(21)]
    # Then the 21st guess waits
    assert answers == [400] * 20 + [429]


def test_no_name_and_no_address_is_in_redis(client, alice):
    # When alice fails and signs in
    attempt(client, REMOTE_ADDR="10.0.0.77")
    attempt(client, password=PASSWORD, REMOTE_ADDR="10.0.0.77")
    # Then the keys do not show it
    keys = [key.decode() for key in limits._storage().storage.scan_iter("user:limits*")]
    assert keys
    assert not [key for key in keys if "alice" in key or "10.0.0" in key]


def test_the_refused_attempts_of_one_address_lock_no_name_out(client, alice, monkeypatch):
    # Given an address that has failed too often
    monkeypatch.setattr(sign_in_limits, "PER_ADDRESS", Limit("few", 3))
    outcomes(client, [{"REMOTE_ADDR": "10.1.1.1"}] * 3)
    # When it goes on at alice, and is refused
    assert {attempt(client, REMOTE_ADDR="10.1.1.1").status_code for _ in range(25)} == {429}
    # Then alice signs in from an address where she never was
    assert attempt(client, password=PASSWORD, REMOTE_ADDR="10.2.2.2").status_code == 200


def test_an_address_stays_known_from_the_last_sign_in_on(client, alice):
    # Given an address that is about to be forgotten
    attempt(client, password=PASSWORD, REMOTE_ADDR="10.0.0.1")
    redis = limits._storage().storage
    (key,) = [key for key in redis.scan_iter("*known*") if redis.ttl(key) > 60]
    redis.expire(key, 50)
    # When alice signs in there again
    attempt(client, password=PASSWORD, REMOTE_ADDR="10.0.0.1")
    # Then it is known for as long as at first
    assert redis.ttl(key) > limits.KNOWN_SECONDS - 60
