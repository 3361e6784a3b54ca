"""The page of the HTTP API, from the OpenAPI schemas of the four services."""

from __future__ import annotations

from typing import Any

from config.topology import SERVICES
from docs.generate.markdown import code, codes, first_paragraph, page, section, table
from docs.generate.services import Described


def endpoints_page(described: Described) -> str:
    """Return docs/reference/endpoints.md."""
    return page(
        "HTTP API",
        "Read from the OpenAPI schema of each service, which a running one shows at `/api/schema` and, to be tried, "
        "at `/api/docs`. Every service also answers at `/livez`, `/readyz` and `/admin/`. The user service also "
        "answers at `/.well-known/jwks.json`. Fields with `?` may be left out. Errors are RFC 9457 problem details "
        "with a stable `code`.",
        *(
            section(f"{service.name} (port {service.port})", _table(described[service.name]["operations"]))
            for service in SERVICES.values()
        ),
    )


def _table(operations: list[dict[str, Any]]) -> str:
    rows = [_row(operation) for operation in sorted(operations, key=lambda each: (each["path"], each["method"]))]
    return table(("operation", "token", "what it does", "takes", "answers"), rows)


def _row(operation: dict[str, Any]) -> tuple[str, ...]:
    takes = [f"{kind}: {codes(operation[kind])}" for kind in ("body", "query", "headers") if operation[kind]]
    return (
        code(f"{operation['method']} {operation['path']}"),
        "yes" if operation["token"] else "no",
        first_paragraph(operation["what"]),
        "; ".join(takes),
        ", ".join(operation["answers"]),
    )
