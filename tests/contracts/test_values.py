"""Values that no event may have: each is refused when the record is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from messaging.errors import InvalidRecord
from messaging.event import decode, encode
from tests.contracts.examples import EXAMPLES

CREATED, CONFIRMED, USED = "order.OrderCreated.v1", "order.OrderConfirmed.v1", "coupon.CouponUsed.v1"
PRODUCT, USER = "product.ProductChanged.v1", "user.UserChanged.v1"


def read_with(kind: str, **changes: Any) -> Any:
    data = json.loads(encode(EXAMPLES[kind])) | changes
    return decode(kind, json.dumps(data).encode())


def line(**changes: Any) -> dict[str, Any]:
    return json.loads(encode(EXAMPLES[CREATED]))["lines"][0] | changes


@pytest.mark.parametrize("quantity", [0, -1, 10**9 + 1, 2**63, 1.5])
def test_a_line_has_a_sensible_number_of_pieces(quantity):
    with pytest.raises(InvalidRecord, match="quantity"):
        read_with(CREATED, lines=[line(quantity=quantity)])


@pytest.mark.parametrize("kind", [CREATED, CONFIRMED])
def test_an_order_has_a_line_at_least(kind):
    with pytest.raises(InvalidRecord, match="lines"):
        read_with(kind, lines=[])


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E+900000", "1E-900000", "1000000000000000", "-1", "0.00001"])
@pytest.mark.parametrize(
    ("kind", "field"), [(CREATED, "total"), (CONFIRMED, "discount"), (USED, "discount"), (PRODUCT, "price")]
)
def test_an_amount_is_one_that_every_service_can_keep(kind, field, amount):
    with pytest.raises(InvalidRecord):
        read_with(kind, **{field: amount})


@pytest.mark.parametrize("amount", ["0", "999999999999999.9999", "12.50"])
def test_an_honest_amount_is_read(amount):
    assert str(read_with(CREATED, total=amount).total) == amount


def test_a_unit_price_is_an_amount_too():
    with pytest.raises(InvalidRecord):
        read_with(CREATED, lines=[line(unit_price="-1")])


@pytest.mark.parametrize("currency", ["", "krw", "KRWX", "K W", "KRW\n"])
@pytest.mark.parametrize("kind", [CREATED, CONFIRMED, PRODUCT])
def test_a_currency_has_three_capitals(kind, currency):
    with pytest.raises(InvalidRecord, match="currency"):
        read_with(kind, currency=currency)


def test_a_time_has_a_zone():
    with pytest.raises(InvalidRecord, match="created_at"):
        read_with(CREATED, created_at="2026-05-01T12:00:00")


@pytest.mark.parametrize("version", [-1, 2**63])
@pytest.mark.parametrize("kind", [PRODUCT, USER])
def test_a_version_fits_its_column(kind, version):
    with pytest.raises(InvalidRecord, match="version"):
        read_with(kind, version=version)


def test_a_text_is_not_endless():
    with pytest.raises(InvalidRecord, match="name"):
        read_with(PRODUCT, name="x" * 2001)
