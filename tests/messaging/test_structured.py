"""CloudEvents in structured mode: the whole event as JSON in the value, as the Kafka binding has it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Producer
from django.conf import settings as django_settings
from hypothesis import given
from hypothesis import strategies as st

from messaging import edit_and_retry
from messaging.errors import InvalidRecord
from messaging.inbox.decoding import Work, read
from messaging.kafka.records import RawRecord, identity_of, received, type_of
from messaging.models import DeadLetterRow, InboxRow
from tests.messaging.records import Record
from tests.messaging.test_batch import applied, singly
from tests.messaging.test_consumer import is_applied
from tests.messaging.waiting import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPE = "sample.NoteAdded.v1"
CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")
NOTE = {"key": "a", "number": 1}


def structured(*headers: tuple[str, bytes], **changes: Any) -> Record:
    """Return a record whose value is a CloudEvent with these members; None leaves one out."""
    members = {"specversion": "1.0", "id": "1", "source": "/abroad", "type": TYPE, "data": NOTE} | changes
    value = json.dumps({name: content for name, content in members.items() if content is not None}).encode()
    topic = django_settings.SAMPLE_TOPIC
    return Record(key=b"a", value=value, headers=[CONTENT_TYPE, *headers], topic=topic)


def test_its_attributes_are_read_as_headers_are_and_its_data_as_the_value():
    attributes = {"subject": "a", "time": "2026-01-01T09:00:00+09:00", "correlationid": "saga", "causationid": "c"}
    found = received(structured(**attributes, sequence=7, final=True, traceparent="00-1", dataschema=None), NOW)

    assert (found.event_id, found.source, found.type, found.key) == ("1", "/abroad", TYPE, "a")
    assert (found.occurred_at, found.correlation_id) == (NOW, "saga")
    assert json.loads(found.data) == NOTE
    more = {"ce_sequence": "7", "ce_final": "true", "traceparent": "00-1", "ce_causationid": "c"}
    assert found.headers.items() >= more.items()
    assert found.context().causation_id == "c"


def test_its_data_may_be_in_base64():
    found = received(structured(data=None, data_base64=base64.b64encode(b'{"key":"a"}').decode()), NOW)

    assert found.data == b'{"key":"a"}'


def test_the_value_counts_and_headers_of_the_event_do_not():
    record = structured(("ce_type", b"other.Thing.v1"), ("ce_id", b"another"), ("foreign", b"kept"))
    found = received(record, NOW)

    assert type_of(record) == found.type == TYPE
    assert (found.event_id, found.headers["foreign"]) == ("1", "kept")
    assert isinstance(read(record, str(django_settings.SAMPLE_GROUP), NOW), Work)


@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
@pytest.mark.parametrize(
    "media_type", [b"application/cloudevents+json", b"Application/CloudEvents+JSON ;charset=utf-8"]
)
def test_its_content_type_may_be_written_in_any_case(name, media_type):
    record = replace(structured(), headers=[(name, media_type)])

    assert received(record, NOW).event_id == "1"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (replace(structured(), headers=[("content-type", b"application/cloudevents+avro")]), "cloudevents\\+avro"),
        (replace(structured(), headers=[("content-type", b"application/cloudevents-batch+json")]), "batch\\+json"),
        (replace(structured(), value=b"[]"), "no CloudEvent"),
        (replace(structured(), value=b"not JSON"), "no CloudEvent"),
        (replace(structured(), value=b"\xff"), "no CloudEvent"),
        (replace(structured(), value=b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"), "no CloudEvent"),
        (replace(structured(), value=None), "ce_id, ce_source, ce_type are missing|no value"),
        (structured(id=None), "ce_id"),
        (structured(source=""), "ce_source"),
        (structured(id=["1"]), "attribute 'id'"),
        (structured(id="a\x00b"), "zero character"),
        (structured(data=None), "no value"),
        (structured(data=None, data_base64="!"), "base64"),
    ],
)
def test_one_that_is_none_is_refused_with_what_is_wrong(record, message):
    with pytest.raises(InvalidRecord, match=message):
        received(record, NOW)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
members = st.sampled_from(
    ["id", "source", "type", "time", "data", "data_base64", "datacontenttype", "traceparent", "x"]
)


@given(value=st.binary(max_size=200) | st.dictionaries(members, anything).map(json.dumps).map(str.encode))
def test_any_value_is_read_or_refused(value):
    record = replace(structured(), value=value)

    try:
        found = received(record, NOW)
    except InvalidRecord:
        return

    assert "\x00" not in found.event_id + found.source + found.type
    assert identity_of(record) == (found.source, found.event_id)


@pytest.mark.django_db(transaction=True)
def test_the_same_event_in_either_mode_is_one_event(group):
    headers = [("ce_id", b"1"), ("ce_source", b"/abroad"), ("ce_type", TYPE.encode())]

    singly(group, structured(), replace(structured(), headers=headers, value=json.dumps(NOTE).encode()))

    assert applied("single", "a") == applied("batch", "a") == [1]


@pytest.mark.django_db(transaction=True)
def test_an_edited_one_stays_the_same_event(group):
    singly(group, structured(data={"key": "a"}))
    letter = DeadLetterRow.objects.get()
    who = {"actor": "kim", "reason": "a test"}

    for change, name in (({"id": "2"}, "ce_id"), ({"source": "/else"}, "ce_source")):
        refused = edit_and_retry(letter.target, value=structured(**change).value, **who)
        assert (refused.outcome, name in refused.detail) == ("refused", True)
    assert edit_and_retry(letter.target, value=structured().value, **who).outcome == "done"
    assert InboxRow.objects.filter(event_id="1", state="waiting").count() == 2


def test_a_broken_one_has_no_identity():
    broken = structured()

    assert identity_of(RawRecord("t", 0, 0, 0, b"a", [CONTENT_TYPE], b"{")) == ("", "")
    assert identity_of(broken) == ("/abroad", "1")


@pytest.mark.django_db(transaction=True)
def test_a_foreign_clients_structured_event_is_handled(consumer, key):
    servers = ",".join(django_settings.MESSAGING["BOOTSTRAP_SERVERS"])
    record = structured(id=key, data={"key": key, "number": 1})
    producer = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    producer.produce(record.topic, record.value, key, headers=list(record.headers))
    assert producer.flush(20) == 0

    eventually(lambda: is_applied(key, 1))
