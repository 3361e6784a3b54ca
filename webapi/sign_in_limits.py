"""Limits on failed sign-ins, for the API and the four admins.

Guesses at one name count together, from all addresses that it never signed in from; so changing addresses passes no
limit. From an address where the name signed in before it has a counter of its own: a stranger who keeps guessing does
not lock the owner out (the idea of OWASP's device cookies, by address).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest
from rest_framework.request import Request

from webapi import limits
from webapi.limits import Counted, Limit

PER_NAME = Limit("sign-in-failures-name", 20)
PER_KNOWN_PAIR = Limit("sign-in-failures-known-address", 20)
PER_ADDRESS = Limit("sign-in-failures-address", 100)


@contextmanager
def guessing(request: Request | HttpRequest, name: str, failure: type[Exception]) -> Iterator[None]:
    """Run a check of the password of `name`, which raises `failure` if it is wrong; only that stays counted.

    LimitExceeded if the name or the address has failed too often; LimitsUnavailable if nobody can tell.
    """
    address = limits.address_of(request)
    with limits.counting(_counted(name, address), failure):
        yield
    limits.remember(name, address)


def _counted(name: str, address: str) -> Counted:
    if limits.is_known(name, address):
        return [(PER_KNOWN_PAIR, limits.hashed(name, address))]
    return [(PER_NAME, limits.hashed(name)), (PER_ADDRESS, limits.hashed(address))]
