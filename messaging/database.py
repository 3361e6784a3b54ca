"""Connections of our own, outside Django's handling: the relay's locks and the wake live on them."""

from __future__ import annotations

from typing import Any

import psycopg2
from django.db import connection


def own_connection(*, application_name: str, **settings: str) -> Any:
    """Open a psycopg2 connection to the service's database, in autocommit.

    `settings` are PostgreSQL's run-time parameters for this session. psycopg2.OperationalError when it is unreachable.
    """
    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name not in ("cursor_factory", "client_encoding", "options")
    }
    parameters["application_name"] = application_name
    parameters["options"] = " ".join(f"-c {name}={value}" for name, value in settings.items())
    opened = psycopg2.connect(**parameters)
    opened.autocommit = True
    return opened
