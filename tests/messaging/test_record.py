"""Records: whatever a publisher may write is either read or refused with InvalidRecord, never anything else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.errors import InvalidRecord
from messaging.kafka.records import received
from tests.messaging.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = Record(headers=[("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"t")])
NAMES = [
    "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_correlationid", "ce_causationid", "traceparent",
    "ce_causereceived", "ce_causeattempts", "ce_specversion", "content-type", "foreign",
]  # fmt: skip


def with_headers(**headers: bytes | None) -> Record:
    return replace(GOOD, headers=[*({**dict(GOOD.headers), **headers}).items()])


values = st.none() | st.binary(max_size=300) | st.text().map(str.encode)


@given(
    headers=st.lists(st.tuples(st.sampled_from(NAMES), values)),
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    timestamp=st.integers(min_value=-(2**63), max_value=2**63 - 1),
)
def test_any_record_is_read_or_refused(headers, key, value, timestamp):
    record = Record(headers=[*headers, *GOOD.headers], key=key, value=value, timestamp=timestamp)

    try:
        read = received(record, NOW)
    except InvalidRecord:
        return

    assert 0 < len(read.event_id) <= 255
    assert read.type
    assert read.key
    assert read.correlation_id
    assert read.occurred_at.utcoffset() is not None
    assert "\x00" not in read.event_id + read.key + read.correlation_id


@given(text=st.text(min_size=1, max_size=60))
def test_any_time_is_read_with_its_zone_or_refused(text):
    try:
        read = received(with_headers(ce_time=text.encode()), NOW)
    except InvalidRecord:
        return

    assert read.occurred_at.tzinfo is UTC


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type"])
@pytest.mark.parametrize("value", [None, b""])
def test_a_record_without_a_required_header_is_refused_by_name(name, value):
    with pytest.raises(InvalidRecord, match=name):
        received(with_headers(**{name: value}), NOW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": None}, "no key"),
        ({"key": b""}, "no key"),
        ({"key": b"\xff"}, "key is not UTF-8"),
        ({"key": b"a\x00"}, "zero character"),
        ({"value": None}, "tombstone"),
    ],
)
def test_a_record_that_nobody_can_order_or_read_is_refused(change, message):
    with pytest.raises(InvalidRecord, match=message):
        received(replace(GOOD, **change), NOW)


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("ce_id", b"x" * 256, "longer than 255"),
        ("ce_id", b"a\x00b", "zero character"),
        ("ce_id", b"\xff", "ce_id is not UTF-8"),
        ("ce_time", b"yesterday", "RFC 3339"),
        ("ce_time", b"2026-01-01T00:00:00", "no zone"),
        ("ce_time", b"0001-01-01T00:00:00+23:59", "RFC 3339"),
        ("ce_time", b"2026-01-01T12:00:60Z", "RFC 3339"),
        ("ce_time", b"9999-12-31T23:59:60Z", "RFC 3339"),
    ],
)
def test_a_bad_cloudevents_header_is_refused(header, value, message):
    with pytest.raises(InvalidRecord, match=message):
        received(with_headers(**{header: value}), NOW)


def test_a_foreign_header_may_hold_any_bytes():
    read = received(with_headers(foreign=b"\xff\x00\xfe"), NOW)

    assert read.event_id == "1"


def test_the_first_of_two_headers_of_one_name_counts():
    read = received(replace(GOOD, headers=[*GOOD.headers, ("ce_type", b"other"), ("ce_id", b"2")]), NOW)

    assert (read.type, read.event_id) == ("t", "1")


@pytest.mark.parametrize("value", [None, b"", b"x" * 256, b"a\x00b"])
def test_without_a_usable_correlation_id_the_key_is_it(value):
    assert received(with_headers(ce_correlationid=value), NOW).correlation_id == "k"


def test_without_a_time_the_records_own_timestamp_is_it():
    assert received(replace(GOOD, timestamp=1_000), NOW).occurred_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_timestamp_out_of_every_range_is_when_it_was_received():
    assert received(replace(GOOD, timestamp=2**62), NOW).occurred_at == NOW


def test_times_of_other_zones_and_finer_than_microseconds_are_read():
    read = received(with_headers(ce_time=b"2026-01-01T09:00:00.123456789+09:00"), NOW)

    assert read.occurred_at == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01t00:00:00z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31t23:59:60.25z", datetime(2017, 1, 1, microsecond=250_000, tzinfo=UTC)),
        ("2017-01-01T08:59:60+09:00", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_small_letters_and_a_leap_second_are_rfc_3339_too(text, moment):
    assert received(with_headers(ce_time=text.encode()), NOW).occurred_at == moment
