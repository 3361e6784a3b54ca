"""Parses bodies: JSON that says one thing, and whose values can all be stored and sent."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser, get_encoding


class StrictJSONParser(JSONParser):
    """JSON (limit: DATA_UPLOAD_MAX_MEMORY_SIZE). A number keeps all its digits; a name appears once in an object."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body as Python values, with Decimal for a number with a point; ParseError (400)."""
        try:
            text = codecs.getreader(get_encoding(parser_context or {}))(stream).read()
            value = json.loads(text, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_named_once)
            # A lone surrogate ("\ud800") is valid JSON, but PostgreSQL cannot store it and no response can quote it.
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        except UnicodeEncodeError as error:
            raise ParseError("The JSON contains half of a surrogate pair.") from error
        except InvalidOperation as error:
            raise ParseError("A number in the JSON is too large or too small.") from error
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Python takes the last of two values, other readers the first: {"coupon_id": "…", "coupon_id": null}.
    value: dict[str, Any] = {}
    for name, each in pairs:
        if name in value:
            raise ValueError(f"the name {json.dumps(name)} appears twice in one object")
        value[name] = each
    return value
