"""Walks every endpoint of the project at hand, from its URLs, and sends names that it does not know."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import UUIDConverter
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.test import APIClient
from rest_framework.views import APIView

NAME = "no_such_name"
WITH_BODY = ("post", "put", "patch", "delete")
#: drf-spectacular's own pages: they have no description of themselves, and take no body.
DESCRIPTIONS = (SpectacularAPIView, SpectacularSwaggerView)


@dataclass(frozen=True)
class Endpoint:
    """A method of an address; `route` is as in the OpenAPI description, which is `described` there."""

    method: str
    route: str
    described: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.route}"

    @property
    def address(self) -> str:
        """Return the address, with ids of nothing."""
        return re.sub(r"{\w+}", lambda _: str(uuid4()), self.route)


def endpoints() -> Iterator[tuple[Endpoint, dict[str, Any]]]:
    """Return every endpoint that the URLs lead to, each with the description of all of them."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    for route, view in _views(get_resolver(), "/"):
        for method in ("get", *WITH_BODY):
            if hasattr(view, method):
                # A KeyError here: the endpoint is hidden from the description.
                yield Endpoint(method, route, schema["paths"][route][method]), schema


def _views(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, type[APIView]]]:
    for route, pattern in _patterns(resolver, prefix):
        if view := _view_of(pattern):
            yield re.sub(r"<\w+:(\w+)>", r"{\1}", route), view


def _patterns(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern, route)
        else:
            yield route, pattern


def _view_of(pattern: URLPattern) -> type[APIView] | None:
    view = getattr(pattern.callback, "cls", None)
    is_ours = isinstance(view, type) and issubclass(view, APIView) and not issubclass(view, DESCRIPTIONS)
    return view if is_ours else None


def endpoints_that_ignore_unknown_fields(client: APIClient) -> list[str]:
    """Return where a body with an unknown field, at any depth, is not a 400 that names it."""
    tried = [
        (endpoint, body, path)
        for endpoint, schema in endpoints()
        if endpoint.method in WITH_BODY
        for body, path in _bodies(_body_of(endpoint, schema), schema)
    ]
    assert tried, "no endpoint takes a body"
    answers = [(endpoint, body, path, _send(client, endpoint, body)) for endpoint, body, path in tried]
    return [f"{endpoint} {body}" for endpoint, body, path, answer in answers if not _names_it(answer, path)]


def _send(client: APIClient, endpoint: Endpoint, body: dict[str, Any]) -> Any:
    headers = {"Idempotency-Key": str(uuid4())}
    return client.generic(
        endpoint.method.upper(), endpoint.address, json.dumps(body), "application/json", headers=headers
    )


def lists_that_ignore_unknown_parameters(client: APIClient) -> list[str]:
    """Return the lists for which an unknown query parameter is not a 400 that names it."""
    lists = [endpoint for endpoint, _ in endpoints() if _is_list(endpoint)]
    assert lists, "no endpoint lists anything"
    return [str(endpoint) for endpoint in lists if not _names_it(client.get(f"{endpoint.address}?{NAME}=1"), [])]


def endpoints_that_ignore_unknown_parameters(client: APIClient) -> list[str]:
    """Return the endpoints, lists and others, for which an unknown query parameter is not a 400 that names it."""
    found = []
    for endpoint, _ in endpoints():
        answer = client.generic(endpoint.method.upper(), f"{endpoint.address}?{NAME}=1")
        found += [] if _names_it(answer, []) else [f"{endpoint} {answer.status_code}"]
    return found


def endpoints_that_take_nul(client: APIClient) -> list[str]:
    """Return where NUL in a field, a parameter or the path is not a 400."""
    found = []
    for endpoint, schema in endpoints():
        fields = _body_of(endpoint, schema).get("properties", {}) if endpoint.method in WITH_BODY else {}
        answers = {f"field {name}": _send(client, endpoint, {name: "a\x00b"}) for name in fields}
        answers["a parameter"] = client.generic(endpoint.method.upper(), f"{endpoint.address}?a=%00")
        answers["the path"] = client.generic(endpoint.method.upper(), f"{endpoint.address}%00")
        found += [
            f"{endpoint}: {where} {each.status_code}" for where, each in answers.items() if each.status_code != 400
        ]
    return found


def posts_without_key() -> list[str]:
    """Return the POST endpoints whose description has no Idempotency-Key, or whose answer does not say "replayed"."""
    found = []
    for endpoint, _ in endpoints():
        takes = {each["name"] for each in endpoint.described.get("parameters", []) if each["in"] == "header"}
        answers = [name for each in endpoint.described["responses"].values() for name in each.get("headers", {})]
        if endpoint.method == "post" and not ("Idempotency-Key" in takes and "Idempotent-Replayed" in answers):
            found.append(str(endpoint))
    return found


def addresses_with_ids_in_lower_case_only() -> list[str]:
    """Return the routes of this project, those of its admin too, that do not find an id in upper case."""
    return [route for route, pattern in _patterns(get_resolver(), "/") if _has_strict_ids(pattern)]


def _has_strict_ids(pattern: URLPattern) -> bool:
    converters = getattr(pattern.pattern, "converters", {}).values()
    return any(type(each) is UUIDConverter for each in converters)


def _is_list(endpoint: Endpoint) -> bool:
    parameters = endpoint.described.get("parameters", [])
    return endpoint.method == "get" and any(each["in"] == "query" for each in parameters)


def _names_it(answer: Any, path: list[str]) -> bool:
    if answer.status_code != 400 or answer.json()["code"] != "validation_failed":
        return False
    errors = answer.json()["errors"]
    for step in path:
        # Of a list, the framework gives the errors by index.
        errors = errors.get(step, {}) if isinstance(errors, dict) else {}
    return NAME in errors


def _body_of(endpoint: Endpoint, schema: dict[str, Any]) -> dict[str, Any]:
    content = endpoint.described.get("requestBody", {}).get("content", {})
    return _resolved(content.get("application/json", {}).get("schema", {}), schema)


def _bodies(described: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Return bodies with an unknown field, each with the way to it in the errors: at the top and in what is nested."""
    yield {NAME: 1}, []
    for name, each in described.get("properties", {}).items():
        kind = _resolved(each, schema)
        if kind.get("type") == "array" and _is_object(items := _resolved(kind["items"], schema)):
            yield from (({name: [body]}, [name, "0", *path]) for body, path in _bodies(items, schema))
        elif _is_object(kind):
            yield from (({name: body}, [name, *path]) for body, path in _bodies(kind, schema))


def _is_object(described: dict[str, Any]) -> bool:
    return "properties" in described


def _resolved(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for part in described.get("allOf", []):
        described = described | part
    while "$ref" in described:
        described = schema["components"]["schemas"][described["$ref"].rsplit("/", 1)[-1]]
    return described
