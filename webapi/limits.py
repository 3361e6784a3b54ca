"""Limits on how often somebody may try something, counted in Redis for all processes of a service together.

An attempt is counted before its work and given back after a success, so attempts at once cannot pass together. Fixed
windows of a minute, by the library `limits`. Redis keeps hashes, no names and no addresses.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import RedisStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

logger = logging.getLogger(__name__)

#: A name that signed in from an address is known there for so long, and has a counter of its own there.
KNOWN_SECONDS = 30 * 24 * 3600
REDIS_SECONDS = 1.0


class LimitsUnavailable(Exception):
    """Redis does not answer, so nothing can be counted."""


class LimitExceeded(Exception):
    """Too many attempts; `seconds` until the next one can pass."""

    def __init__(self, limit: Limit, seconds: int) -> None:
        super().__init__(f"Too many attempts; try again in {seconds} seconds.")
        self.limit = limit
        self.seconds = seconds

    def headers(self) -> dict[str, str]:
        """Return Retry-After, and the fields of draft-ietf-httpapi-ratelimit-headers-10."""
        return {"Retry-After": str(self.seconds), **self.limit.headers(remaining=0, seconds=self.seconds)}


@dataclass(frozen=True)
class Limit:
    """So many attempts a minute for each subject; `name` is part of the counter's key."""

    name: str
    amount: int

    def headers(self, *, remaining: int, seconds: int) -> dict[str, str]:
        """Return the RateLimit fields of an answer."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.amount};w=60',
            "RateLimit": f'"{self.name}";r={remaining};t={seconds}',
        }


#: One attempt counts against each of these: a limit, and for whom.
Counted = Sequence[tuple[Limit, str]]


def address_of(request: Request | HttpRequest) -> str:
    """Return the caller's address: of the connection, or of the X-Forwarded-For that NUM_PROXIES proxies wrote.

    Of an IPv6 address the network of 64 bits, since a caller has all of it.
    """
    text = BaseThrottle().get_ident(request)  # type: ignore[arg-type]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and not address.ipv4_mapped:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return text


def hashed(*subject: str) -> str:
    """Return the key of a subject, which does not reveal it."""
    return hashlib.sha256("\0".join(subject).encode(errors="replace")).hexdigest()


def take(counted: Counted) -> None:
    """Count one attempt. LimitExceeded if one of the limits is reached; LimitsUnavailable."""
    with _redis():
        for number, (limit, subject) in enumerate(counted):
            if not _window().hit(_item(limit), limit.name, subject):
                # Otherwise refused attempts of one address would use up the limits of names.
                give_back(counted[:number])
                raise LimitExceeded(limit, _left(limit, subject)[1])


def give_back(counted: Counted) -> None:
    """Uncount an attempt that was taken; without Redis it stays counted until the minute is over."""
    for limit, subject in counted:
        item = _item(limit)
        try:
            _storage().incr(item.key_for(limit.name, subject), item.get_expiry(), amount=-1)
        except StorageError:
            logger.warning("Redis does not answer: an attempt stays counted for a minute")
            return


@contextmanager
def counting(counted: Counted, failure: type[Exception]) -> Iterator[None]:
    """Count the block as one attempt; unless it raises `failure`, give the attempt back."""
    take(counted)
    try:
        yield
    except failure:
        raise
    except BaseException:
        give_back(counted)
        raise
    give_back(counted)


def usage(limit: Limit, subject: str) -> tuple[int, int]:
    """Return how many attempts are left, and the seconds until all are."""
    with _redis():
        return _left(limit, subject)


def remember(name: str, address: str) -> None:
    """Remember that this name signed in from this address, from now on for KNOWN_SECONDS."""
    with _redis():
        # The expiry is set by the first increment alone.
        _storage().clear(_known_key(name, address))
        _storage().incr(_known_key(name, address), KNOWN_SECONDS)


def is_known(name: str, address: str) -> bool:
    """Return whether this name signed in from this address before."""
    with _redis():
        return _storage().get(_known_key(name, address)) > 0


def _known_key(name: str, address: str) -> str:
    return f"known:{hashed(name, address)}"


def _left(limit: Limit, subject: str) -> tuple[int, int]:
    stats = _window().get_window_stats(_item(limit), limit.name, subject)
    return max(0, stats.remaining), max(1, min(60, round(stats.reset_time - time.time())))


def _item(limit: Limit) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(limit.amount)


@cache
def _storage_at(url: str, prefix: str) -> RedisStorage:
    options: dict[str, Any] = {"socket_timeout": REDIS_SECONDS, "socket_connect_timeout": REDIS_SECONDS}
    storage = storage_from_string(url, wrap_exceptions=True, key_prefix=prefix, **options)
    assert isinstance(storage, RedisStorage)
    return storage


def _storage() -> RedisStorage:
    return _storage_at(settings.RATE_LIMIT_URL, f"{settings.SERVICE_NAME}:limits")  # type: ignore[misc]


def _window() -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(_storage())


@contextmanager
def _redis() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise LimitsUnavailable("Redis does not answer, so attempts cannot be counted.") from error
