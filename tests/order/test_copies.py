"""Local copies of products and users: the newest version wins, however the announcements come."""

from __future__ import annotations

import itertools
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import transaction

from contracts.user import UserChanged
from messaging import Delivery
from messaging.kafka.records import RawRecord
from messaging.testing import deliver, published, record_of
from order_app import selectors, services
from order_app.models import ProductCopy, UserCopy
from tests.contracts import handling
from tests.order.given import product_changed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("versions", list(itertools.permutations([1, 2, 3])))
@pytest.mark.parametrize("singly", [False, True])
def test_the_newest_version_wins_in_any_order(versions: tuple[int, ...], singly: bool) -> None:
    product_id, user_id = uuid4(), uuid4()
    deliver(*[product_changed(product_id, version, price=Decimal(version)) for version in versions], singly=singly)
    deliver(*[UserChanged(user_id=user_id, version=each, active=each == 3) for each in versions], singly=singly)
    copy = ProductCopy.objects.get()
    assert (copy.version, copy.name, copy.price) == (3, "tea 3", Decimal(3))
    assert UserCopy.objects.values_list("version", "active").get() == (3, True)


def test_an_announcement_again_changes_nothing() -> None:
    product_id = uuid4()
    deliver(product_changed(product_id, 4))
    deliver(product_changed(product_id, 4, name="other"))
    assert ProductCopy.objects.get().name == "tea 4"
    assert published() == []


def test_a_name_with_a_zero_character_is_kept_without_it() -> None:
    event = product_changed(uuid4(), 1, name="te\x00a")
    with transaction.atomic():
        services.copy_products(deliveries=[Delivery(event, record_of(event).context())])
    assert ProductCopy.objects.get().name == "te\ufffda"


def test_only_a_user_who_is_known_to_be_inactive_is_inactive() -> None:
    active, inactive, unknown = uuid4(), uuid4(), uuid4()
    deliver(UserChanged(user_id=active, version=1, active=True), UserChanged(user_id=inactive, version=1, active=False))
    assert selectors.get_inactive_users({active, inactive, unknown}) == {inactive}


def test_a_tombstone_holds_up_no_later_announcement_of_its_user() -> None:
    user_id = uuid4()
    key, headers = str(user_id).encode(), record_of(UserChanged(user_id=user_id, version=1, active=True)).raw.headers
    handling.handle(RawRecord("user.events", 0, 10**6, 0, key, [], None))
    handling.handle(RawRecord("user.events", 0, 10**6 + 1, 0, key, headers, None))
    deliver(UserChanged(user_id=user_id, version=2, active=False))
    assert selectors.get_inactive_users({user_id}) == {user_id}
