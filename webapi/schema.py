"""Adds to the schema what drf-spectacular cannot find by itself: bearer tokens, and problems for errors."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

METHODS = {"get", "post", "put", "patch", "delete"}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; the text may change."},
        "code": {"type": "string", "description": "For programs; stable."},
        "errors": {"type": "object", "description": "By field, if values are not valid."},
    },
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes BearerAuthentication in the schema."""

    target_class = "webapi.authentication.BearerAuthentication"
    match_subclasses = True
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the security scheme object."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def add_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Return the schema with the problem responses of every operation. A postprocessing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    for address, operations in result["paths"].items():
        for method in METHODS & operations.keys():
            for status, meaning in _problems_of(address, operations[method]).items():
                operations[method]["responses"].setdefault(status, _problem_response(meaning))
    return result


def _problems_of(address: str, operation: dict[str, Any]) -> dict[str, str]:
    problems = {
        "400": "Malformed, or values are not valid.",
        "429": "Too many requests.",
        "503": "The database does not answer.",
    }
    if "requestBody" in operation:
        problems |= {"411": "Chunked, behind a server that decodes none.", "413": "Too large.", "415": "Not JSON."}
    if any(each["name"] == "Idempotency-Key" for each in operation.get("parameters", [])):
        problems["422"] = "The Idempotency-Key was used for another request."
    if any(operation.get("security", [])):
        problems |= {"401": "No valid access token.", "403": "You may not do this."}
    if "{" in address:
        problems["404"] = "It does not exist, or belongs to another user."
    return dict(sorted(problems.items()))


def _problem_response(meaning: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": meaning, "content": content}
