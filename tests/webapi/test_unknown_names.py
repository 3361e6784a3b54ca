"""Unknown fields and parameters: what is said of them, and that the walk over all endpoints finds who ignores them."""

from __future__ import annotations

import time

import pytest
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.test import APIClient, APIRequestFactory

from tests import unknown_names
from tests.webapi import loose
from tests.webapi.conftest import SOMEBODY
from webapi.authentication import TokenUser
from webapi.parsers import StrictJSONParser
from webapi.roles import Role
from webapi.serializers import StrictSerializer, read_body
from webapi.unknown_names import MOST_NAMED, refusals


@pytest.fixture
def somebody(settings):
    settings.ROOT_URLCONF = loose.__name__
    client = APIClient()
    client.force_authenticate(TokenUser(SOMEBODY, is_staff=True, roles=frozenset(Role)))
    return client


def test_the_walk_finds_every_endpoint_that_ignores_an_unknown_field(somebody):
    found = unknown_names.endpoints_that_ignore_unknown_fields(somebody)

    assert [each.split(" {")[0] for each in found if "'loose': [" not in each] == ["POST /loose", "DELETE /bare"]
    assert [each.split(" {'")[0] for each in found if "'loose': [" in each] == ["PATCH /within/{id}"]


def test_the_walk_finds_every_list_that_ignores_an_unknown_parameter(somebody):
    assert unknown_names.lists_that_ignore_unknown_parameters(somebody) == ["GET /loose"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("coupon", "coupon_id"), ("couponId", "coupon_id"), ("line", "lines"), ("xyz", None), ("c" * 100, None)],
)
def test_the_known_name_that_is_close_is_suggested(given, meant):
    said = refusals([given, "lines"], ["lines", "coupon_id"])

    suggestion = f' Did you mean "{meant}"?' if meant else ""
    assert said == {given: [f"Unknown name.{suggestion} Known: coupon_id, lines."]}


def test_a_hundred_thousand_unknown_names_cost_little():
    began = time.process_time()
    said = refusals({f"coupon_ix{number}" for number in range(100_000)}, ["coupon_id", "lines"])

    assert len(said) == MOST_NAMED
    assert time.process_time() - began < 1


def posted(body):
    return Request(APIRequestFactory().post("/", body, format="json"), parsers=[StrictJSONParser()])


def test_an_unknown_field_is_named_beside_all_other_errors():
    class Body(StrictSerializer):
        username = serializers.CharField()
        id = serializers.UUIDField(read_only=True)

    with pytest.raises(serializers.ValidationError) as refused:
        read_body(Body, posted({"user": "x", "id": "y"}))
    assert sorted(refused.value.detail) == ["id", "user", "username"]


def test_a_body_that_would_ignore_unknown_fields_is_a_fault_of_the_code():
    with pytest.raises(TypeError, match="StrictSerializer"):
        read_body(loose.LoosePart, posted({}))
