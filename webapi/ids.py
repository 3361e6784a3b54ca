"""Ids in paths: `<id:order_id>`. Upper-case digits are digits too (RFC 9562), but Django's `uuid` knows only lower."""

from __future__ import annotations

from django.urls import register_converter
from django.urls.converters import UUIDConverter


class IdConverter(UUIDConverter):
    """A UUID in upper or lower case. Addresses that the service makes have it in lower case."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


register_converter(IdConverter, "id")
