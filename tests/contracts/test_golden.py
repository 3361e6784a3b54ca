"""Every event as it stands on Kafka, byte by byte: what was written once must be readable for as long as logs last."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import contracts
from messaging import InvalidRecord
from messaging.event import all_specs, current_type, decode, encode
from tests.contracts.examples import EXAMPLES, golden, golden_data, golden_types

DECLARED = [spec.type for spec in all_specs() if spec.cls.__module__.startswith("contracts.")]
REQUIRED_FIELDS = [
    (spec.type, field.name)
    for spec in all_specs()
    if spec.type in EXAMPLES
    for field in msgspec.structs.fields(spec.cls)
    if field.required
]


def test_every_module_of_contracts_is_looked_at() -> None:
    modules = {path.stem for path in Path(next(iter(contracts.__path__))).glob("*.py")} - {"__init__", "values"}

    assert {spec.cls.__module__ for spec in all_specs() if spec.type in DECLARED} == {
        f"contracts.{name}" for name in modules
    }


def test_every_declared_event_has_an_example_and_a_golden_file() -> None:
    assert sorted(EXAMPLES) == sorted(DECLARED)
    assert set(DECLARED) <= set(golden_types())


def test_every_golden_file_is_of_an_event_that_can_still_be_read() -> None:
    assert {current_type(type_name) for type_name in golden_types()} == set(DECLARED)


@pytest.mark.parametrize("type_name", DECLARED)
def test_an_event_is_written_exactly_as_its_golden_file(type_name: str) -> None:
    assert encode(EXAMPLES[type_name]) == golden_data(type_name)


@pytest.mark.parametrize("type_name", golden_types())
def test_a_golden_file_is_read_as_its_event(type_name: str) -> None:
    assert decode(type_name, golden_data(type_name)) == EXAMPLES[current_type(type_name)]


@pytest.mark.parametrize("type_name", DECLARED)
def test_fields_that_we_do_not_know_are_ignored(type_name: str) -> None:
    data = msgspec.json.decode(golden_data(type_name)) | {"added_by_a_newer_publisher": {"a": [1]}}

    assert decode(type_name, msgspec.json.encode(data)) == EXAMPLES[type_name]


@pytest.mark.parametrize(("type_name", "field"), REQUIRED_FIELDS)
def test_a_missing_field_is_refused_by_name(type_name: str, field: str) -> None:
    data = golden(type_name)["data"]
    del data[field]

    with pytest.raises(InvalidRecord, match=field):
        decode(type_name, msgspec.json.encode(data))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b'{"order_id": 7}', b"\xff"])
@pytest.mark.parametrize("type_name", DECLARED)
def test_what_is_no_such_event_is_refused(type_name: str, data: bytes) -> None:
    with pytest.raises(InvalidRecord):
        decode(type_name, data)


def test_a_failure_without_detail_is_readable() -> None:
    data = golden("product.StockReduceFailed.v1")["data"]
    del data["detail"]

    assert decode("product.StockReduceFailed.v1", msgspec.json.encode(data)).detail == ""  # type: ignore[attr-defined]
