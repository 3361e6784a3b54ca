"""Every endpoint of this service, as every kind of caller: the answers are those of the table."""

from __future__ import annotations

import pytest

from tests import access
from tests.webapi.conftest import Issuer, issuer

__all__ = ["issuer"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_endpoint_answers_each_kind_of_caller_as_the_table_says(issuer: Issuer) -> None:  # noqa: F811
    assert access.wrong_answers(issuer, {}) == []


def test_no_other_page_shows_itself_without_a_login() -> None:
    assert access.unlisted_pages() == []
