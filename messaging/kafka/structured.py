"""CloudEvents in structured mode: the value is the whole event as JSON, its attributes and its data.

After CloudEvents' Kafka protocol binding 1.0.2, section 3.3, and its JSON format.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable

import msgspec

from messaging.errors import InvalidRecord

_MEDIA_TYPE = b"application/cloudevents"
_JSON = b"application/cloudevents+json"
_CONTENT_TYPE = "content-type"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_attribute = msgspec.json.Decoder(str | int | bool | None)


def is_structured(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Return whether the record's content type says that its value is a whole CloudEvent."""
    for name, value in headers:
        if len(name) == len(_CONTENT_TYPE) and name.lower() == _CONTENT_TYPE:
            return (value or b"")[: len(_MEDIA_TYPE)].lower() == _MEDIA_TYPE
    return False


def event_in(
    headers: Iterable[tuple[str, bytes | None]], value: bytes | None
) -> tuple[list[tuple[str, bytes | None]], bytes | None]:
    """Return the headers and the value that the event's record would have in binary mode.

    InvalidRecord for a format other than JSON, and for a value that is no CloudEvent.
    """
    given = {name.lower(): content or b"" for name, content in reversed(list(headers))}
    media_type = given[_CONTENT_TYPE].partition(b";")[0].strip().lower()
    if media_type != _JSON:
        raise InvalidRecord(f"the event format {media_type.decode(errors='replace')[:100]} cannot be read; JSON can")
    others = [(name, content) for name, content in headers if not _is_of_event(name)]
    if value is None:
        return others, None
    members = _members_of(value)
    return [*others, *_headers_of(members)], _data_of(members)


def _is_of_event(name: str) -> bool:
    return name.startswith("ce_") or name.lower() == _CONTENT_TYPE


def _members_of(value: bytes) -> dict[str, msgspec.Raw]:
    try:
        value.decode()
        return _members.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRecord(f"the value is no CloudEvent in JSON: {error}") from error


def _headers_of(members: dict[str, msgspec.Raw]) -> list[tuple[str, bytes | None]]:
    found: list[tuple[str, bytes | None]] = []
    for name, raw in members.items():
        if name in ("data", "data_base64"):
            continue
        text = _text_of(name, raw)
        if text is None:
            continue
        if name == "datacontenttype":
            found.append((_CONTENT_TYPE, text))
            continue
        found.append((f"ce_{name}", text))
        if name == "traceparent":  # in binary mode W3C's header has the same name
            found.append((name, text))
    return found


def _text_of(name: str, raw: msgspec.Raw) -> bytes | None:
    """Return an attribute as a header has it; None for null, which JSON may have for one that is missing."""
    try:
        content = _attribute.decode(raw)
        if content is None:
            return None
        return (content if isinstance(content, str) else msgspec.json.encode(content).decode()).encode()
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise InvalidRecord(f"the CloudEvents attribute {name[:40]!r} is no text, number or truth value") from error


def _data_of(members: dict[str, msgspec.Raw]) -> bytes | None:
    if "data_base64" in members:
        try:
            return b64decode(msgspec.json.decode(members["data_base64"], type=str), validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            raise InvalidRecord("data_base64 is not base64") from error
    data = bytes(members.get("data", b"null"))
    return None if data == b"null" else data
