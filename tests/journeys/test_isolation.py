"""Each service reaches its own data only, and starts with its own variables only."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit

import psycopg2
import pytest

from config.env import REQUIRED, VARIABLES
from config.topology import SERVICES
from stack import commands
from stack.postgres import PROGRAMS
from tests.journeys.databases import Databases
from tests.journeys.processes import environment_of, manage_with

USER_ONLY = ("USER_SIGNING_KEY", "USER_RETIRED_PUBLIC_KEYS")


def psql(url: str, query: str) -> subprocess.CompletedProcess[str]:
    """Run one query by psql."""
    command = [PROGRAMS / "psql", url, "--no-psqlrc", "--tuples-only", "--no-align", "--command", query]
    return subprocess.run(
        command, env=commands.plain_environment(), capture_output=True, text=True, timeout=30, check=False
    )


def at_server_of(other: str, url: str, database: str) -> str:
    """Return `url`'s role and password at the server of the address `other`."""
    own, theirs = urlsplit(url), urlsplit(other)
    return f"{own.scheme}://{own.username}:{own.password}@{theirs.hostname}:{theirs.port}/{database}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_role_reads_its_own_data_by_psql_and_no_others(service: str, databases: Databases):
    own = databases.urls[service]
    others = {name: url for name, url in databases.urls.items() if name != service}
    assert psql(own, "SELECT count(*) FROM messaging_inbox").returncode == 0

    for name, url in others.items():
        for database in (urlsplit(url).path.removeprefix("/"), "postgres"):
            refused = psql(at_server_of(url, own, database), "SELECT 1")
            assert refused.returncode != 0, f"{service} reached {name}'s {database}"
            assert "authentication failed" in refused.stderr
    tables = psql(own, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").stdout.split()
    apps = {table.split("_app_")[0] for table in tables if "_app_" in table}
    assert apps == {service}


def test_the_four_servers_are_four(databases: Databases):
    systems = {databases.value(name, "SELECT system_identifier FROM pg_control_system()") for name in SERVICES}
    assert len(systems) == 4
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        databases.ask("product", "SELECT * FROM pg_authid")


def own_required(service: str, variables: dict[str, str]) -> dict[str, str]:
    """Return the variables that the service can't start without."""
    names = [each.name.replace("{SERVICE}", service.upper()) for each in VARIABLES if each.default is REQUIRED]
    return {name: variables[name] for name in names if service == "user" or name not in USER_ONLY}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_with_only_its_own_variables_and_names_one_that_is_missing(
    service: str, variables: dict[str, str]
):
    own = own_required(service, variables)

    complete = manage_with(own, service, "check")
    missing = f"{service.upper()}_DATABASE_URL"
    incomplete = manage_with({name: value for name, value in own.items() if name != missing}, service, "check")

    assert complete.returncode == 0, complete.stderr
    assert incomplete.returncode != 0
    assert missing in incomplete.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_running_service_knows_no_other_services_secrets(service: str, variables: dict[str, str]):
    foreign = {
        value
        for name, value in variables.items()
        if name.endswith(("_DATABASE_URL", "_SECRET_KEY", "_SIGNING_KEY")) and not name.startswith(service.upper())
    }
    for kind in ("web", "worker", "beat"):
        assert not foreign & set(environment_of(f"{service}-{kind}").values())
