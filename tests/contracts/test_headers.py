"""The headers of every event: CloudEvents 1.0 in binary mode, so that any client can read and write our topics."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from messaging import InvalidRecord
from messaging.event import all_specs, decode
from messaging.kafka.records import received
from messaging.outbox.envelope import Envelope, headers_out
from tests.contracts.examples import EXAMPLES, NOON, golden, golden_data

EVENT_ID = "0198a1f0-0000-7000-8000-0000000000aa"
SPECS = [spec for spec in all_specs() if spec.type in EXAMPLES]


def envelope(type_name: str, **changes: object) -> Envelope:
    expected = golden(type_name)
    fields = {
        "event_id": EVENT_ID,
        "topic": expected["topic"],
        "key": expected["key"],
        "type": type_name,
        "occurred_at": NOON,
        "correlation_id": expected["key"],
        "causation_id": None,
        "extra": "",
        "data": golden_data(type_name),
    }
    return Envelope(**(fields | changes))  # type: ignore[arg-type]


def record(type_name: str, **changes: object) -> SimpleNamespace:
    """A record as a Kafka client gives it."""
    expected = golden(type_name)
    fields = {
        "topic": expected["topic"],
        "partition": 3,
        "offset": 41,
        "timestamp": 1_777_636_800_000,
        "key": expected["key"].encode(),
        "value": golden_data(type_name),
        "headers": [(name, value.encode()) for name, value in expected["headers"].items()],
    }
    return SimpleNamespace(**(fields | changes))


@pytest.mark.parametrize("type_name", EXAMPLES)
def test_headers_are_those_of_the_golden_file(type_name: str) -> None:
    headers = {name: value.decode() for name, value in headers_out(envelope(type_name))}

    assert headers == golden(type_name)["headers"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.type)
def test_headers_are_what_cloudevents_and_our_names_ask_for(spec) -> None:  # type: ignore[no-untyped-def]
    headers = golden(spec.type)["headers"]

    assert headers["ce_specversion"] == "1.0"
    assert headers["content-type"] == "application/json"
    assert headers["ce_source"] == "/" + spec.cls.__module__.split(".")[1]
    assert re.fullmatch(rf"[a-z]+\.{spec.cls.__name__}\.v[1-9]\d*", headers["ce_type"])
    assert headers["ce_subject"] == str(getattr(EXAMPLES[spec.type], spec.key))
    assert datetime.fromisoformat(headers["ce_time"]) == NOON
    assert headers["ce_time"].endswith("Z")


@pytest.mark.parametrize("type_name", EXAMPLES)
def test_a_golden_record_is_read_back_whole(type_name: str) -> None:
    read = received(record(type_name), NOON)

    assert (read.event_id, read.type, read.occurred_at) == (EVENT_ID, type_name, NOON)
    assert read.key == read.correlation_id == golden(type_name)["key"]
    assert decode(read.type, read.data) == EXAMPLES[type_name]


def test_an_answer_tells_of_its_cause() -> None:
    extra = '{"ce_causereceived":"2026-05-01T12:00:01+00:00","ce_causeattempts":"2"}'
    headers = dict(headers_out(envelope("product.StockReduced.v1", causation_id="the cause", extra=extra)))

    assert headers["ce_causationid"] == b"the cause"
    assert headers["ce_causereceived"] == b"2026-05-01T12:00:01+00:00"
    assert headers["ce_causeattempts"] == b"2"


def test_times_are_written_in_utc() -> None:
    seoul = NOON.astimezone(timezone(timedelta(hours=9)))

    assert dict(headers_out(envelope("user.UserChanged.v1", occurred_at=seoul)))["ce_time"].endswith(
        b"12:00:00.123456Z"
    )


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type"])
def test_a_record_without_a_required_header_is_refused_by_name(name: str) -> None:
    headers = [each for each in record("user.UserChanged.v1").headers if each[0] != name]

    with pytest.raises(InvalidRecord, match=name):
        received(record("user.UserChanged.v1", headers=headers), NOON)


@pytest.mark.parametrize("changes", [{"key": None}, {"key": b"\xff"}, {"value": None}])
def test_a_record_without_a_readable_key_or_value_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidRecord):
        received(record("user.UserChanged.v1", **changes), NOON)


def test_a_foreign_record_with_the_least_headers_is_readable() -> None:
    headers = [each for each in record("user.UserChanged.v1").headers if each[0] in ("ce_id", "ce_source", "ce_type")]
    read = received(record("user.UserChanged.v1", headers=headers), NOON)

    assert read.correlation_id == read.key
    assert read.occurred_at == datetime.fromtimestamp(1_777_636_800, UTC)
