"""What an event is: a frozen struct with a type, a topic and a key. Needs no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec.inspect import StructType, UUIDType, type_info

from messaging.errors import InvalidRecord

#: The reason of a record whose data does not fit its event.
SCHEMA = "schema_violation"
#: Longest key, in bytes of UTF-8: keys stand in indexes, whose entries PostgreSQL bounds at about 2,700 bytes.
MAX_KEY = 1000


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events: a fact in the past tense, named without a suffix, immutable.

    Fields are UUID, Decimal (a JSON string), datetime (RFC 3339, UTC), str, int, bool, None, tuples, further structs.
    Unknown fields are ignored when read, so that a publisher may add some.
    """


@dataclass(frozen=True)
class EventSpec:
    """How one type of event stands on Kafka."""

    cls: type[Event]
    type: str
    topic: str
    key: str
    decoder: msgspec.json.Decoder[Event]
    has_decimals: bool

    @property
    def source(self) -> str:
        return "/" + self.type.split(".", 1)[0]

    @property
    def name(self) -> str:
        return self.cls.__name__

    def decode(self, data: bytes) -> Event:
        """Read the JSON `data`; InvalidRecord when it does not fit the schema, or can't be stored or counted with."""
        try:
            data.decode()
            event = self.decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRecord(f"{self.type}: {error}", reason=SCHEMA) from error
        # The bytes may be an escaped backslash, or in a field that this code does not read.
        if b"\\u0000" in data and _has_zero_character(event):
            raise InvalidRecord(
                f"{self.type}: a text has a zero character, which PostgreSQL cannot store", reason=SCHEMA
            )
        if self.has_decimals and not all(number.is_finite() for number in _decimals(event)):
            raise InvalidRecord(f"{self.type}: an amount is not a finite number", reason=SCHEMA)
        return event


def _has_zero_character(value: Any) -> bool:
    """Return whether a text in it has one; every way in which JSON can stand in an event is looked at."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, msgspec.Struct):
        return any(_has_zero_character(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return any(map(_has_zero_character, (*value, *value.values())))
    return isinstance(value, (tuple, list, set, frozenset)) and any(map(_has_zero_character, value))


def _decimals(struct: msgspec.Struct) -> Iterator[Decimal]:
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, Decimal):
            yield value
        elif isinstance(value, tuple):
            yield from (number for each in value if isinstance(each, msgspec.Struct) for number in _decimals(each))


_SPECS: dict[type[Event], EventSpec] = {}
_TYPES: dict[str, EventSpec] = {}
_KEYED_BY_UUID: set[str] = set()
_UPCASTERS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
_encoder = msgspec.json.Encoder()

E = TypeVar("E", bound=Event)


def event(type_name: str, *, topic: str, key: str) -> Callable[[type[E]], type[E]]:
    """Declare an event class: `type_name` is '<service>.<Name>.v<version>', `key` the field that orders it.

    ValueError when the type was declared before, or when the class has no field `key`.
    """

    def declare(cls: type[E]) -> type[E]:
        if type_name in _TYPES:
            raise ValueError(f"the event type {type_name} is declared twice; give one of them another version (.v2)")
        if key not in cls.__struct_fields__:
            raise ValueError(f"{cls.__name__} has no field {key!r}; key= must name a field of the event")
        fields = type_info(cls)
        assert isinstance(fields, StructType)
        spec = EventSpec(cls, type_name, topic, key, msgspec.json.Decoder(cls), "DecimalType" in repr(fields))
        _SPECS[cls] = _TYPES[type_name] = spec
        if any(field.name == key and isinstance(field.type, UUIDType) for field in fields.fields):
            _KEYED_BY_UUID.add(topic)
        return cls

    return declare


def upcaster(old_type: str, new_type: str) -> Callable[[Callable[[dict[str, Any]], dict[str, Any]]], Any]:
    """Declare a function from the JSON object of `old_type` to that of `new_type`; both are then accepted."""

    def declare(function: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
        _UPCASTERS[old_type] = (new_type, function)
        return function

    return declare


def spec_of(cls: type[Event]) -> EventSpec:
    """Return the declaration of an event class; KeyError when it was never declared."""
    return _SPECS[cls]


def is_keyed_by_uuid(topic: str) -> bool:
    """Return whether the events of a topic that this code knows have a UUID as their key."""
    return topic in _KEYED_BY_UUID


def all_specs() -> list[EventSpec]:
    """Return every declared event, in the order of declaration."""
    return list(_TYPES.values())


def current_type(type_name: str) -> str:
    """Follow upcasters from an old type to the one that is declared today."""
    while type_name in _UPCASTERS:
        type_name = _UPCASTERS[type_name][0]
    return type_name


def family_of(type_name: str) -> str:
    """Return the type without its version: what `sample.NoteAdded.v1` and `.v2` have in common."""
    family, _, version = type_name.rpartition(".v")
    return family if version.isdigit() else type_name


def encode(event: Event) -> bytes:
    """Return the event as JSON; TypeError when a field can't be written."""
    return _encoder.encode(event)


def decode(type_name: str, data: bytes) -> Event:
    """Read `data` as `type_name`, through upcasters when it is an old version. InvalidRecord when it does not fit."""
    while type_name in _UPCASTERS:
        type_name, upcast = _UPCASTERS[type_name]
        try:
            data = _encoder.encode(upcast(msgspec.json.decode(data)))
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
            message = f"{type_name}: the older version cannot be converted: {error!r}"
            raise InvalidRecord(message, reason=SCHEMA) from error
    return _TYPES[type_name].decode(data)
