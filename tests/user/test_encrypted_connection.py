"""A database address that asks for TLS never ends in a plain connection."""

from __future__ import annotations

import os

import pytest
from django.db import connections
from psycopg2 import OperationalError

from config.settings import base
from config.topology import USER


def test_a_server_without_tls_is_refused_when_the_address_asks_for_it(monkeypatch):
    address = os.environ["USER_DATABASE_URL"]
    monkeypatch.setenv("USER_DATABASE_URL", f"{address}&sslmode=verify-full&sslrootcert=/dev/null")
    database = connections["default"].settings_dict | base._database(USER)
    connection = type(connections["default"])(database, alias="encrypted")

    with pytest.raises(OperationalError, match="server does not support SSL"):
        connection.connect()
