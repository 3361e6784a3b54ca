"""/api/schema and /api/docs of whichever service the settings are of."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def schema(client):
    return client.get("/api/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json").json()


def operations(schema):
    return [(address, method, schema["paths"][address][method]) for address in schema["paths"]
            for method in METHODS & schema["paths"][address].keys()]  # fmt: skip


def test_the_schema_is_valid_openapi(schema):
    # Then the validator finds nothing
    validate_schema(schema)
    assert operations(schema)


def test_generating_the_schema_warns_of_nothing(capsys):
    # When the schema is made
    SchemaGenerator().get_schema(request=None, public=True)
    # Then drf-spectacular had to guess nowhere
    assert "Warning" not in capsys.readouterr().err


def test_every_operation_documents_its_problems(schema):
    # Then each says what may go wrong, as a problem
    for address, method, operation in operations(schema):
        problem = operation["responses"]["503"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}, (address, method)
        takes_key = any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", []))
        assert "400" in operation["responses"], "an unknown parameter is refused everywhere"
        assert not takes_key or "422" in operation["responses"], (address, method)
        signs_in = address in ("/api/v1/token", "/api/v1/token/refresh")
        assert ("401" in operation["responses"]) == (any(operation.get("security", [])) or signs_in), (address, method)


def test_the_bearer_scheme_is_documented(schema):
    # Then tools know what to send
    assert schema["components"]["securitySchemes"]["bearer"]["bearerFormat"] == "JWT"


def test_the_documentation_page_loads_nothing_from_elsewhere(client):
    # When the page is asked for
    response = client.get("/api/docs")
    # Then every script and style is ours, and is there
    assert response.status_code == 200
    sources = re.findall(r'(?:src|href)="([^"]+)"', response.content.decode())
    assert sources
    assert not [source for source in sources if "//" in source]
    assert all(finders.find(source.removeprefix("/static/")) for source in sources if source.startswith("/static/"))
