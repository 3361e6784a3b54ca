"""A body says one thing: no name twice, no digit lost, no value that JSON does not have."""

from __future__ import annotations

import io
import time
from decimal import Decimal

import pytest
from rest_framework.exceptions import ParseError

from webapi.parsers import StrictJSONParser


def read(text: str) -> object:
    return StrictJSONParser().parse(io.BytesIO(text.encode()), "application/json", {})


def test_a_number_keeps_all_its_digits() -> None:
    assert read('{"price": 12345678901234567.129}') == {"price": Decimal("12345678901234567.129")}


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "\\u0061": 1}}]'])
def test_a_name_twice_in_an_object_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match='"a" appears twice'):
        read(text)


@pytest.mark.parametrize("number", ["1e9999999999999999999", "1e-99999999999999999999", "-1E99999999999999999999"])
def test_a_number_that_no_decimal_can_be_is_refused(number: str) -> None:
    with pytest.raises(ParseError, match="too large or too small"):
        read(f'{{"price": {number}}}')


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_value_that_json_does_not_have_is_refused(constant: str) -> None:
    with pytest.raises(ParseError, match="not JSON"):
        read(f'{{"price": {constant}}}')


def test_a_hundred_thousand_names_cost_little() -> None:
    text = "{" + ",".join(f'"{number}":0' for number in range(100_000)) + ',"1":0}'
    began = time.process_time()

    with pytest.raises(ParseError, match="twice"):
        read(text)
    assert time.process_time() - began < 1
