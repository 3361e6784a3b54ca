"""How bodies are read: JSON whose every value can be stored and sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """DRF's JSON parser (bounded by DATA_UPLOAD_MAX_MEMORY_SIZE), without the two bodies that end as a 500 in it."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body as Python values; ParseError (400) when it is malformed."""
        try:
            value = super().parse(stream, media_type, parser_context)
            # Half a character ("\ud800") is valid JSON, but neither PostgreSQL nor an error that quotes it can hold it.
            json.dumps(value, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        except UnicodeEncodeError as error:
            raise ParseError("The JSON holds half a surrogate pair.") from error
        return value
