"""Records that anybody could write to our topics: random bytes, and well-formed ones with any values."""

from __future__ import annotations

import itertools
import random
import types
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from messaging.event import EventSpec, all_specs
from messaging.kafka.records import RawRecord

_offsets = itertools.count(1_000_000)

#: Of each type, values that an honest publisher could send, and any others.
_SENSIBLE: dict[Any, st.SearchStrategy[Any]] = {
    UUID: st.uuids().map(str),
    bool: st.booleans(),
    int: st.integers(1, 20),
    str: st.sampled_from(["KRW", "USD"]),
    Decimal: st.decimals(0, 1000, places=2).map(str),
    datetime: st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
}
_ANY: dict[Any, st.SearchStrategy[Any]] = {
    UUID: st.one_of(st.uuids().map(str), st.text(max_size=40)),
    bool: st.one_of(st.booleans(), st.integers(0, 1)),
    int: st.one_of(st.integers(), st.integers(2**31 - 2, 2**31 + 1), st.integers(2**63 - 2, 2**63 + 1)),
    str: st.text(),
    Decimal: st.one_of(st.decimals(), st.decimals(min_value=10**15), st.sampled_from(["1E-900000", "1E+900000"])).map(
        str
    ),
    datetime: st.datetimes(timezones=st.sampled_from([UTC, None])).map(datetime.isoformat),
}


def value_of(kind: Any, simple: dict[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Return a JSON value of a field's type, of those that `simple` gives."""
    if kind in simple:
        return simple[kind]
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of([st.none() if each is type(None) else value_of(each, simple) for each in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(value_of(get_args(kind)[0], simple), min_size=simple is _SENSIBLE, max_size=4)
    return fields_of(kind) if simple is _ANY else _all_fields_of(kind, simple)


def fields_of(struct: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a JSON object with the fields of a struct, one of them with any value at all."""
    return st.builds(
        lambda sensible, other, strange: sensible | {strange: other[strange]},
        _all_fields_of(struct, _SENSIBLE),
        _all_fields_of(struct, _ANY),
        st.sampled_from(struct.__struct_fields__),
    )


def _all_fields_of(struct: type[msgspec.Struct], simple: dict[Any, Any]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(struct)
    return st.fixed_dictionaries({name: value_of(hints[name], simple) for name in struct.__struct_fields__})


def well_formed(topics: Iterable[str]) -> st.SearchStrategy[RawRecord]:
    """Return records of these topics that are well formed, with any values."""
    specs = [spec for spec in all_specs() if spec.topic in topics]
    return st.one_of([fields_of(spec.cls).map(lambda fields, spec=spec: _record(spec, fields)) for spec in specs])


def random_bytes(topics: Iterable[str]) -> st.SearchStrategy[RawRecord]:
    """Return records of random bytes, some with a type that is ours."""
    kinds = [spec.type.encode() for spec in all_specs()]
    name = st.sampled_from(["ce_type", "ce_id", "ce_source", "ce_time", "ce_subject", "x"])
    header = st.tuples(name, st.one_of(st.sampled_from(kinds), st.binary(max_size=30), st.none()))
    return st.builds(
        lambda topic, key, headers, value: RawRecord(topic, 0, next(_offsets), 0, key, headers, value),
        st.sampled_from(sorted(topics)),
        st.one_of(st.none(), st.binary(max_size=40), st.integers(900, 9000).map(_long_key)),
        st.lists(header, max_size=6),
        st.one_of(st.none(), st.binary(max_size=200)),
    )


def _long_key(length: int) -> bytes:
    """Return text that no compression makes short enough for an index."""
    return random.Random(length).randbytes(length // 2).hex().encode()


def _record(spec: EventSpec, fields: dict[str, Any]) -> RawRecord:
    headers: list[tuple[str, bytes | None]] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_source", spec.source.encode()),
        ("ce_type", spec.type.encode()),
    ]
    value = msgspec.json.encode(fields)
    return RawRecord(spec.topic, 0, next(_offsets), 0, str(fields[spec.key]).encode(), headers, value)
