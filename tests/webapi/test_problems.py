"""Every error is a problem (RFC 9457)."""

from __future__ import annotations

import json

import psycopg2
import pytest
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, InternalError, OperationalError, connection
from django.http import Http404
from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.response import Response
from rest_framework.views import APIView

from webapi import problems
from webapi.parsers import StrictJSONParser

pytestmark = pytest.mark.urls(__name__)


class LineSerializer(serializers.Serializer):
    quantity = serializers.IntegerField(min_value=1)


class BodySerializer(serializers.Serializer):
    kind = serializers.ChoiceField(["a", "b"])
    lines = LineSerializer(many=True)


class Refused(psycopg2.Error):
    def __init__(self, pgcode):
        super().__init__()
        self.state = pgcode

    pgcode = property(lambda self: self.state)


def caused(error, pgcode):
    error.__cause__ = Refused(pgcode)
    return error


RAISED = {
    "problem": lambda: problems.Problem(422, "mixed_currencies", "One currency only.", currencies=["KRW", "USD"]),
    "header": lambda: problems.Problem(409, "busy", "Later.", headers={"Retry-After": "5"}),
    "missing": lambda: Http404("secret"),
    "denied": lambda: PermissionDenied("secret permission"),
    "throttled": lambda: Throttled(wait=3),
    "database": lambda: OperationalError("could not connect to 10.0.0.1 as root"),
    "connection": lambda: InterfaceError("connection already closed"),
    "deadlock": lambda: caused(OperationalError("deadlock detected"), "40P01"),
    "full": lambda: caused(OperationalError("could not extend file: No space left on device"), "53100"),
    "read-only": lambda: caused(InternalError("cannot execute INSERT in a read-only transaction"), "25006"),
    "damage": lambda: caused(InternalError("invalid page in block 7"), "XX001"),
    "bug": lambda: ZeroDivisionError("secret"),
}


class Open(APIView):
    authentication_classes = ()
    permission_classes = ()
    parser_classes = (StrictJSONParser,)

    def get(self, request, what):
        raise RAISED[what]()

    def post(self, request, what):
        body = BodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.data)


def page(request, what):
    raise RAISED[what]()


urlpatterns = [path("api/v1/<what>", Open.as_view()), path("page/<what>", page), path("api/plain/<what>", page)]
handler404 = problems.not_found
handler500 = problems.server_error
handler400 = problems.bad_request


def post(client, body, **options):
    return client.post("/api/v1/x", body, content_type="application/json", **options)


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("problem", 422, "mixed_currencies"),
        ("header", 409, "busy"),
        ("missing", 404, "not_found"),
        ("denied", 403, "permission_denied"),
        ("throttled", 429, "throttled"),
        ("database", 503, "database_unavailable"),
        ("connection", 503, "database_unavailable"),
        ("deadlock", 503, "busy"),
        ("full", 503, "database_unavailable"),
        ("read-only", 503, "database_unavailable"),
        ("damage", 500, "internal_error"),
        ("bug", 500, "internal_error"),
    ],
)
def test_what_a_view_raises_becomes_a_problem_that_tells_no_secret(client, what, status, code):
    # When a view fails
    response = client.get(f"/api/v1/{what}")
    # Then all members of a problem are there, and nothing of the inside
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (body["status"], body["code"], body["type"]) == (status, code, "about:blank")
    assert body["title"]
    assert body["detail"]
    assert b"secret" not in response.content
    assert b"10.0.0.1" not in response.content


def test_extra_members_stand_beside_the_standard_ones(client):
    # When a view gives more
    assert client.get("/api/v1/problem").json()["currencies"] == ["KRW", "USD"]


@pytest.mark.parametrize(
    ("what", "seconds"), [("header", "5"), ("throttled", "3"), ("database", "1"), ("deadlock", "1")]
)
def test_what_passes_says_when_to_come_back(client, what, seconds):
    # When trying again helps
    assert client.get(f"/api/v1/{what}")["Retry-After"] == seconds


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("53100", 503, "database_unavailable"),
        ("53300", 503, "database_unavailable"),
        ("57P01", 503, "database_unavailable"),
        ("57014", 503, "database_unavailable"),
        ("25006", 503, "database_unavailable"),
        ("55P03", 503, "busy"),
        ("23505", 500, "internal_error"),
        ("42P01", 500, "internal_error"),
    ],
)
def test_what_postgresql_itself_raises_is_told_by_its_code(client, monkeypatch, state, status, code):
    # When a statement fails on a real server
    def fail():
        with connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")

    monkeypatch.setitem(RAISED, "statement", fail)
    # Then what passes is a 503, and what does not is ours
    response = client.get("/api/v1/statement")
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_bug_is_logged_with_its_trace(client, caplog):
    # When a view has a bug
    client.get("/api/v1/bug")
    # Then the log has what the response has not
    assert any(record.exc_info and record.levelname == "ERROR" for record in caplog.records)


def test_bad_values_are_named_by_field_down_to_the_line(client):
    # When values are not acceptable
    body = post(client, json.dumps({"kind": "c", "lines": [{"quantity": 1}, {"quantity": 0}]})).json()
    # Then each is named where it stands
    assert (body["status"], body["code"]) == (400, "validation_failed")
    assert set(body["errors"]) == {"kind", "lines"}
    assert body["errors"]["lines"] == {"1": {"quantity": ["Ensure this value is greater than or equal to 1."]}}


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "",
        "nonsense",
        b"\xff\xfe",
        '{"a": NaN}',
        "[" * 100_000,
        '{"kind": "\\ud800", "lines": []}',
        '{"kind": ' + "9" * 5000 + "}",
        "[]",
        '"text"',
    ],
)
def test_malformed_json_is_a_400(client, body):
    # When the body can't be read
    response = post(client, body)
    # Then it is the caller's problem
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_a_body_larger_than_allowed_is_a_413_and_is_not_read(client, settings):
    # Given a bound
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    # Then the body at the bound is read, and one byte more is not
    fits = json.dumps({"kind": "a", "lines": []}).ljust(100)
    assert post(client, fits).status_code == 200
    response = post(client, fits + " ")
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_another_media_type_is_a_415(client):
    # When the body is no JSON
    response = client.post("/api/v1/x", "<a/>", content_type="text/xml")
    # Then that is said
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_another_method_is_a_405_that_says_which_work(client):
    # When the method is not there
    response = client.delete("/api/v1/x")
    # Then those that are stand in Allow
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_an_answer_of_another_kind_can_not_be_had(client):
    # When the caller wants no JSON
    response = client.get("/api/v1/missing", HTTP_ACCEPT="text/html")
    # Then it is a problem all the same
    assert (response.status_code, response["Content-Type"]) == (406, "application/problem+json")


@pytest.mark.parametrize(("address", "kind"), [("/api/v1/", "application/problem+json"), ("/nowhere", "text/html")])
def test_an_unknown_address_is_a_problem_under_api_only(client, address, kind):
    # When nothing is there
    response = client.get(address)
    # Then programs get a problem and people a page
    assert response.status_code == 404
    assert response["Content-Type"].startswith(kind)


def test_a_bug_outside_the_api_is_a_page(client):
    # When a page fails
    response = client.get("/page/bug")
    # Then it is a page
    assert response.status_code == 500
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("what", ["database", "connection", "read-only", "full", "deadlock"])
@pytest.mark.parametrize(("place", "kind"), [("page", "text/html"), ("api/plain", "application/problem+json")])
def test_a_failed_database_outside_a_view_of_the_api_is_a_503_too(client, place, kind, what):
    # When the admin, or the middleware, meets it
    response = client.get(f"/{place}/{what}")
    # Then it says when to come back, and nothing of the inside
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response["Content-Type"].startswith(kind)
    assert b"10.0.0.1" not in response.content


def test_a_host_that_is_not_ours_is_a_problem(client):
    # When the Host header is made up
    response = client.get("/api/v1/missing", HTTP_HOST="evil.example")
    # Then it is refused
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
