"""Parses bodies: JSON whose values can all be stored and sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """DRF's JSON parser (limit: DATA_UPLOAD_MAX_MEMORY_SIZE); refuses two kinds of bodies that DRF answers with 500."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body as Python values; ParseError (400) if it is malformed."""
        try:
            value = super().parse(stream, media_type, parser_context)
            # A lone surrogate ("\ud800") is valid JSON, but PostgreSQL cannot store it and no response can quote it.
            json.dumps(value, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        except UnicodeEncodeError as error:
            raise ParseError("The JSON contains half of a surrogate pair.") from error
        return value
