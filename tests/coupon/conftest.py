"""Fixtures of the coupon service's tests."""

from __future__ import annotations

from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from tests.coupon.callers import caller


@pytest.fixture
def user() -> APIClient:
    return caller()


@pytest.fixture
def staff() -> APIClient:
    return caller(uuid4(), staff=True)
