"""Every endpoint of this service, as every kind of caller: the answers are those of the table."""

from __future__ import annotations

import pytest

from tests import access
from tests.webapi.conftest import Issuer, issuer
from user_app.models import Session, User
from user_app.sessions import start_session

__all__ = ["issuer"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_endpoint_answers_each_kind_of_caller_as_the_table_says(issuer: Issuer, alice: User) -> None:  # noqa: F811
    start_session(user=alice)

    claims = {"sub": str(alice.pk), "sid": str(Session.objects.get().pk)}
    assert access.wrong_answers(issuer, claims) == []


def test_no_other_page_shows_itself_without_a_login() -> None:
    assert access.unlisted_pages() == []
