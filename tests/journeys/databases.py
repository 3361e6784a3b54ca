"""The four databases read and changed directly, as no service can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg2
from psycopg2.extensions import connection

from config.topology import SERVICES

Rows = list[tuple[Any, ...]]
#: Every row of every table as text, by service and table.
Dump = dict[str, list[str]]

_TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_name LIKE %s ORDER BY table_name
"""


class Databases:
    """A connection to each service's database, in autocommit mode."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.urls = {name: variables[f"{name.upper()}_DATABASE_URL"] for name in SERVICES}
        self._opened: dict[str, connection] = {}
        for service in SERVICES:
            self.reconnect(service)

    def connect(self, service: str) -> connection:
        """Return a connection of one's own, with transactions."""
        return psycopg2.connect(self.urls[service])

    def reconnect(self, service: str) -> bool:
        """Connect again, after the server was away; False when it does not answer yet."""
        try:
            self._opened[service] = self.connect(service)
        except psycopg2.OperationalError:
            return False
        self._opened[service].autocommit = True
        self.change(service, "SET lock_timeout = '20s'; SET statement_timeout = '30s'")
        return True

    def ask(self, service: str, query: str, parameters: Sequence[Any] = ()) -> Rows:
        """Return the rows of a query."""
        with self._opened[service].cursor() as cursor:
            cursor.execute(query, [_plain(each) for each in parameters])
            return list(cursor.fetchall())

    def value(self, service: str, query: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the one value that a query gives."""
        [(value,)] = self.ask(service, query, parameters)
        return value

    def change(self, service: str, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it touched."""
        with self._opened[service].cursor() as cursor:
            cursor.execute(statement, [_plain(each) for each in parameters])
            return int(cursor.rowcount)

    def dump(self) -> Dump:
        """Return every row of every domain table of all services; inbox, outbox and positions are not among them."""
        return {
            f"{service.name}.{table}": self._rows(service.name, table)
            for service in SERVICES.values()
            for (table,) in self.ask(service.name, _TABLES, [f"{service.app}\\_%"])
        }

    def _rows(self, service: str, table: str) -> list[str]:
        return [text for (text,) in self.ask(service, f'SELECT t::text FROM "{table}" AS t ORDER BY 1')]

    def close(self) -> None:
        """Close the connections."""
        for opened in self._opened.values():
            opened.close()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
