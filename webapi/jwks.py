"""This process's copy of the user service's public keys.

The copy is only in memory: a new process fetches the keys during its first request, and an attacker could plant a
forged key in a copy on disk or in the database. While the user service is down, a running process uses its last good
set. A process that starts then uses the set in the setting JWKS_KEYS; without one it answers 503.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import jwt
from django.conf import settings
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

Loader = Callable[[], dict[str, Any]]

#: An older set is fetched again, so that a withdrawn key stops working.
REFRESH_SECONDS = 300.0
#: Tokens with forged key ids must not flood the user service: at most one fetch in this time.
UNKNOWN_KEY_SECONDS = 10.0
#: After a failed fetch: long enough to spare an overloaded user service, short enough to notice its recovery.
FAILURE_SECONDS = 1.0
FETCH_TIMEOUT_SECONDS = 2.0


class KeysUnavailable(Exception):
    """No key is known and none can be fetched, so no token can be verified. Retryable; is the user service up?"""


class KeyUnknown(Exception):
    """The user service publishes no key with this id."""


class JwksCache:
    """Ed25519 public keys by `kid`, from `load()`, which returns a JWK set (RFC 7517). Threads may share it."""

    def __init__(
        self, load: Loader, clock: Callable[[], float] = time.monotonic, start: Mapping[str, jwt.PyJWK] | None = None
    ) -> None:
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._keys = dict(start or {})
        self._tried_at = float("-inf")
        self._failed = False

    def key(self, kid: str) -> jwt.PyJWK:
        """Return the key `kid`. KeyUnknown if there is no such key, KeysUnavailable if there are no keys at all."""
        self._refresh_after(REFRESH_SECONDS)
        if kid not in self._keys:
            self._refresh_after(UNKNOWN_KEY_SECONDS)
        if not self._keys:
            raise KeysUnavailable
        if kid not in self._keys:
            raise KeyUnknown(kid)
        return self._keys[kid]

    def _refresh_after(self, seconds: float) -> None:
        if not self._due(seconds):
            return
        # With known keys, a caller does not wait for the thread that fetches new ones.
        if not self._lock.acquire(blocking=not self._keys):
            return
        try:
            if self._due(seconds):
                self._refresh()
        finally:
            self._lock.release()

    def _due(self, seconds: float) -> bool:
        return self._clock() - self._tried_at >= (FAILURE_SECONDS if self._failed else seconds)

    def _refresh(self) -> None:
        try:
            self._keys = signing_keys(self._load())
            self._failed = False
        except jwt.PyJWTError as error:
            self._failed = True
            logger.warning("The JWKS could not be fetched; the %d known keys stay in use: %s", len(self._keys), error)
        finally:
            self._tried_at = self._clock()


def signing_keys(jwk_set: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the Ed25519 keys of `jwk_set` by `kid`, without other keys. PyJWTError if it is not a JWK set."""
    try:
        keys = jwt.PyJWKSet.from_dict(jwk_set).keys
        return {key.key_id: key for key in keys if key.key_id and key.algorithm_name == "EdDSA"}
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # JSON of another shape
        raise jwt.PyJWKSetError(f"this is not a JWK set: {error!r}") from error


def key_for(kid: str) -> jwt.PyJWK:
    """Return the public key `kid` of the user service; KeyUnknown or KeysUnavailable."""
    loader, start = getattr(settings, "JWKS_LOADER", None), getattr(settings, "JWKS_KEYS", "")
    return _cache(loader, settings.JWKS_URL, start).key(kid)


@lru_cache(maxsize=8)
def _cache(loader: str | None, url: str, start: str) -> JwksCache:
    # The user service has its own loader: it must not need an HTTP request to itself.
    return JwksCache(import_string(loader) if loader else partial(fetch, url), start=_start_keys(start))


def _start_keys(text: str) -> dict[str, jwt.PyJWK]:
    if not text:
        return {}
    try:
        return signing_keys(json.loads(text))
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        logger.error("JWKS_KEYS is not a JWK set and is ignored: %s", error)
        return {}


def fetch(url: str) -> dict[str, Any]:
    """Return the JWK set at `url`; PyJWTError if it does not answer with JSON."""
    try:
        client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_TIMEOUT_SECONDS)
        return client.fetch_data()  # type: ignore[no-any-return]
    except (OSError, ValueError, RecursionError) as error:
        raise jwt.PyJWKClientConnectionError(f"{url} did not answer with JSON: {error}") from error
