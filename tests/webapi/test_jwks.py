"""The key cache: fetched once, refreshed within bounds, kept while the user service is down."""

from __future__ import annotations

import json
import threading

import jwt
import pytest

from tests.webapi.conftest import Issuer
from webapi import jwks

#: An Ed25519 public key (RFC 8037).
X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class UserService:
    """A loader whose keys and health the test sets."""

    def __init__(self):
        self.issuer = Issuer()
        self.issuer.add_key("k1")
        self.down = False
        self.loads = 0

    def __call__(self):
        self.loads += 1
        if self.down:
            raise jwt.PyJWKClientConnectionError("down")
        return self.issuer.jwk_set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def service():
    return UserService()


@pytest.fixture
def cache(service, clock):
    return jwks.JwksCache(service, clock)


def test_keys_are_fetched_once_for_many_tokens(cache, service):
    # When a key is asked for often
    for _ in range(100):
        cache.key("k1")
    # Then one fetch was enough
    assert service.loads == 1


def test_a_new_key_is_found_by_the_first_token_that_names_it(cache, service, clock):
    # Given a cache that is filled, some time ago
    cache.key("k1")
    clock.now += jwks.UNKNOWN_KEY_SECONDS
    # When a key is added and a token names it
    service.issuer.add_key("k2")
    # Then it is there
    assert cache.key("k2").key_id == "k2"


def test_tokens_with_made_up_key_ids_cause_few_fetches(cache, service, clock):
    # Given a cache that is filled
    cache.key("k1")
    # When a thousand made-up ids come within a minute
    for n in range(1000):
        clock.now += 0.06
        with pytest.raises(jwks.KeyUnknown):
            cache.key(f"made-up-{n}")
    # Then the user service was asked at most once in ten seconds
    assert service.loads <= 1 + 60 / jwks.UNKNOWN_KEY_SECONDS


def test_a_withdrawn_key_stops_working_after_the_refresh(cache, service, clock):
    # Given a key that is withdrawn
    cache.key("k1")
    service.issuer.keys.clear()
    service.issuer.add_key("k2")
    # When the cache is old
    clock.now += jwks.REFRESH_SECONDS
    # Then the key is known no more
    with pytest.raises(jwks.KeyUnknown):
        cache.key("k1")


def test_the_last_good_keys_are_kept_while_the_user_service_is_down(cache, service, clock):
    # Given a cache that is filled
    cache.key("k1")
    # When the user service is down for a day
    service.down = True
    for _ in range(24):
        clock.now += 3600
        # Then tokens go on being judged
        assert cache.key("k1").key_id == "k1"


def test_a_set_without_a_usable_key_does_not_replace_the_last_good_one(cache, service, clock):
    # Given a cache that is filled
    cache.key("k1")
    # When the user service shows nothing
    service.issuer.keys.clear()
    clock.now += jwks.REFRESH_SECONDS
    # Then the old key is kept
    assert cache.key("k1").key_id == "k1"


def test_without_any_key_it_says_so_and_asks_once_a_second(cache, service, clock):
    # Given a user service that was down from the start
    service.down = True
    for _ in range(100):
        with pytest.raises(jwks.KeysUnavailable):
            cache.key("k1")
    assert service.loads == 1
    # When it is back a second later
    service.down = False
    clock.now += jwks.FAILURE_SECONDS
    # Then the next token is judged
    assert cache.key("k1").key_id == "k1"


def test_a_slow_fetch_holds_up_only_the_thread_that_fetches(service, clock):
    # Given a filled cache that is old, and a user service that hangs
    hang = threading.Event()
    hanging = threading.Event()

    def load():
        if service.loads:
            hanging.set()
            hang.wait(10)
        return service()

    cache = jwks.JwksCache(load, clock)
    cache.key("k1")
    clock.now += jwks.REFRESH_SECONDS
    fetching = threading.Thread(target=cache.key, args=["k1"], daemon=True)
    fetching.start()
    assert hanging.wait(5)
    # Then others are answered from what is known
    try:
        assert cache.key("k1").key_id == "k1"
    finally:
        hang.set()
        fetching.join(5)


@pytest.mark.parametrize(
    "keys",
    [
        [{"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"}],
        [{"kty": "oct", "kid": "k", "k": "c2VjcmV0"}],
        [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],
    ],
)
def test_keys_of_another_kind_or_without_an_id_are_left_out(keys):
    # Given a set in which one key is no Ed25519 key, or has no id
    good = Issuer()
    good.add_key("good")
    # Then only the other is taken
    assert set(jwks.signing_keys({"keys": [*keys, *good.jwk_set()["keys"]]})) == {"good"}


@pytest.mark.parametrize(
    "answer",
    [
        (500, ""),
        (200, "<html>"),
        (200, "\ud7ff"),
        (200, "[" * 100_000),
        (200, "[]"),
        (200, "{}"),
        (200, '{"keys": []}'),
        (200, '{"keys": 5}'),
        (200, '{"keys": ["k1"]}'),
        (200, '{"keys": [{"kty": ["OKP"]}]}'),
        (200, '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": 5}]}'),
        (
            200,
            json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": ["k1"], "x": X}]}),
        ),
    ],
)
def test_an_answer_that_is_no_key_set_counts_as_no_answer(issuer, answer):
    # Given a user service that answers nonsense
    issuer.answer = answer
    # Then there are no keys, and no other error
    with pytest.raises(jwks.KeysUnavailable):
        jwks.key_for("k1")


def test_an_answer_that_breaks_off_counts_as_no_answer(issuer):
    # Given a user service that goes away in the middle of its answer
    issuer.headers = {"Content-Length": "100000"}
    # Then there are no keys, and no other error
    with pytest.raises(jwks.KeysUnavailable):
        jwks.key_for("k1")


def test_a_nonsensical_answer_later_keeps_the_last_good_keys(clock):
    # Given a cache that is filled
    service = UserService()
    answers = iter([service(), ["k1"], {"keys": [{"kty": ["OKP"]}]}])
    cache = jwks.JwksCache(lambda: next(answers), clock)
    cache.key("k1")
    # When the user service answers nonsense
    for _ in range(2):
        clock.now += jwks.REFRESH_SECONDS
        # Then the old key is kept
        assert cache.key("k1").key_id == "k1"


def test_a_process_that_starts_while_the_user_service_is_down_begins_with_the_keys_it_was_given(issuer, settings):
    # Given a process that was given the keys, and a user service that is down
    settings.JWKS_KEYS = json.dumps(issuer.jwk_set())
    issuer.answer = (503, "")
    # Then tokens are judged
    assert jwks.key_for("k1").key_id == "k1"


def test_the_keys_given_at_the_start_are_replaced_by_those_that_the_user_service_shows(issuer, settings):
    # Given a process that was given a key which was withdrawn since
    settings.JWKS_KEYS = json.dumps(issuer.jwk_set())
    issuer.keys.clear()
    issuer.add_key("k2")
    # Then only what the user service shows is known
    assert jwks.key_for("k2").key_id == "k2"
    with pytest.raises(jwks.KeyUnknown):
        jwks.key_for("k1")


@pytest.mark.parametrize("text", ["k1", "[]", '{"keys": []}', "[" * 100_000])
def test_a_start_value_that_is_no_key_set_is_passed_over_and_said_so(issuer, settings, caplog, text):
    # Given a setting with a mistake
    settings.JWKS_KEYS = text
    # Then it is logged, and the user service's keys are used
    assert jwks.key_for("k1").key_id == "k1"
    assert "JWKS_KEYS is not a JWK set" in caplog.text


def test_nobody_listening_counts_as_no_answer(settings):
    # Given an address where nothing listens
    settings.JWKS_LOADER, settings.JWKS_URL = None, "http://127.0.0.1:9/jwks.json"
    # Then there are no keys, and no other error
    with pytest.raises(jwks.KeysUnavailable):
        jwks.key_for("k1")
