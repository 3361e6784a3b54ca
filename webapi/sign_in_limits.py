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

#: The same name in answers for both: it does not say whether the name is known at this address.
PER_NAME = Limit("sign-in-failures", 20)
PER_KNOWN_PAIR = PER_NAME
#: Wrong current passwords, with the token or the admin session of one account.
WRONG_PASSWORDS = Limit("wrong-current-passwords", 20)
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
    return [(PER_ADDRESS, limits.hashed(address)), (PER_NAME, limits.hashed(name))]
