"""Records that no honest publisher writes: each is refused by name, and none speaks for another service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.conf import settings as django_settings

from contracts.coupon import CouponUsed
from contracts.product import ProductChanged, StockLine
from messaging.errors import InvalidRecord
from messaging.event import _has_zero_character, decode, encode
from messaging.inbox.decoding import Poison, Work, read
from tests.messaging.records import Record, record_of
from tests.messaging.sample.events import NoteAdded

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def group() -> str:
    return str(django_settings.SAMPLE_GROUP)


def note(**changes: object) -> Record:
    return replace(record_of(NoteAdded(key="k", number=1)), **changes)


def test_an_event_on_its_own_topic_is_handled():
    assert isinstance(read(note(), group(), NOW), Work)


def test_an_event_on_another_topic_is_nobodys():
    assert read(note(topic="somebody.elses"), group(), NOW) is None


def test_a_record_keyed_by_something_else_than_its_event_is_refused():
    poison = read(note(key=b"another"), group(), NOW)

    assert isinstance(poison, Poison)
    assert poison.reason == "schema_violation"
    assert "its record has the key another" in poison.error


@pytest.mark.parametrize("value", [b'{"key":"k\\u0000","number":1}', b'{"key":"k","number":1,"more":"\xff"}'])
def test_a_text_that_postgresql_cannot_keep_is_refused(value):
    with pytest.raises(InvalidRecord):
        decode("sample.NoteAdded.v1", value)


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        (rb'"behaviour":"\\u0000"', "\\u0000"),
        (rb'"behaviour":"\\\\u0000"', "\\\\u0000"),
        (rb'"behaviour":"","unknown":"\u0000"', ""),
        (rb'"behaviour":"","unknown":{"\u0000":["\u0000"]}', ""),
    ],
)
def test_a_backslash_before_u0000_and_a_field_that_is_not_read_are_no_zero_character(text, behaviour):
    decoded = decode("sample.NoteAdded.v1", b'{"key":"k","number":1,' + text + b"}")

    assert decoded == NoteAdded(key="k", number=1, behaviour=behaviour)


def test_a_zero_character_is_found_in_every_part_of_an_event():
    line = StockLine(product_id=UUID(int=1), quantity=1)
    for value in ("\x00", ("a", "\x00"), [line, "\x00"], {"\x00": 1}, {"a": {"\x00"}}):
        assert _has_zero_character(value)
    for value in (line, 1, None, "", b"\x00", ("a", {"b": line})):
        assert not _has_zero_character(value)


def test_what_we_publish_ourselves_with_an_escaped_backslash_is_read_back():
    product = ProductChanged(
        product_id=UUID(int=1), version=1, name=r"\u0000", price=Decimal("1.00"), currency="USD", active=True
    )

    assert decode("product.ProductChanged.v1", encode(product)) == product


@pytest.mark.parametrize("amount", ["NaN", "-Infinity", "sNaN"])
def test_an_amount_that_is_no_number_is_refused(amount):
    nobody = UUID(int=1)
    used = CouponUsed(order_id=nobody, coupon_id=nobody, discount=Decimal("1.50"))
    forged = encode(used).replace(b"1.50", amount.encode())

    assert decode("coupon.CouponUsed.v1", encode(used)) == used
    with pytest.raises(InvalidRecord, match="finite"):
        decode("coupon.CouponUsed.v1", forged)
