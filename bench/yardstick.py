"""The yardstick: pgbench runs the saga's SQL in one database on one server, with one transaction per step."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from bench.errors import BenchError
from bench.shop import CUSTOMERS, PRODUCTS
from config.topology import SERVICES, Service
from stack import commands, environment
from stack.layout import ROOT
from stack.postgres import PROGRAMS
from stack.progress import tell

DATABASE = "bench_yardstick"
CLIENTS = 8
THREADS = 2
SAGA = Path(__file__).with_name("saga.sql")
SEED = Path(__file__).with_name("yardstick.sql")


@dataclass(frozen=True)
class Result:
    """The result of pgbench, and its own CPU seconds."""

    sagas: int
    seconds: float
    cpu: float


class Yardstick:
    """A temporary database on the order service's server, with the tables of all services."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._server = values["ORDER_DATABASE_URL"]
        self._url = urlunsplit(urlsplit(self._server)._replace(path=f"/{DATABASE}"))
        self._done = 0

    def create(self, sagas: int) -> None:
        """Create the database with coupons for `sagas` sagas."""
        tell(f"Creating the tables of all services in the database {DATABASE}, for pgbench …")
        self.drop()
        self._execute(self._server, f"CREATE DATABASE {DATABASE}")
        for service in SERVICES.values():
            self._execute(self._url, f"CREATE SCHEMA {_schema(service)}")
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._migrate, SERVICES.values()))
        self._execute(self._url, SEED.read_text(), {"products": PRODUCTS, "users": CUSTOMERS, "coupons": sagas})
        self._execute(self._url, "VACUUM ANALYZE")

    def drop(self) -> None:
        """Remove the database."""
        self._execute(self._server, f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")

    def run(self, sagas: int, timeout: float) -> Result:
        """Run `sagas` sagas with 8 clients. BenchError if one fails or it takes too long."""
        share = sagas // CLIENTS
        numbers = {"first": self._done, "share": share, "done": 0, "products": PRODUCTS, "users": CUSTOMERS}
        self._done += share * CLIENTS
        before = _children_cpu()
        output = self._pgbench(share, numbers, timeout)
        return self._read(output, share * CLIENTS, _children_cpu() - before)

    def _pgbench(self, share: int, numbers: Mapping[str, int], timeout: float) -> str:
        command = [str(PROGRAMS / "pgbench"), "--no-vacuum", "--protocol", "prepared", "--file", str(SAGA)]
        command += ["--client", str(CLIENTS), "--jobs", str(THREADS), "--transactions", str(share)]
        command += [part for name, number in numbers.items() for part in ("--define", f"{name}={number}")]
        place = urlsplit(self._url)
        own = {"PGHOST": place.hostname, "PGPORT": place.port, "PGUSER": place.username, "PGPASSWORD": place.password}
        env = (
            commands.plain_environment() | {name: str(value) for name, value in own.items()} | {"PGDATABASE": DATABASE}
        )
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"pgbench has not ended within {timeout:.0f} s.") from error
        if done.returncode != 0:
            raise BenchError(f"pgbench ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout

    def _read(self, output: str, sagas: int, cpu: float) -> Result:
        speed = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
        failed = re.search(r"^number of failed transactions: (\d+)", output, re.MULTILINE)
        if speed is None or failed is None or failed[1] != "0":
            raise BenchError(f"pgbench did not run all sagas:\n{output}")
        return Result(sagas, sagas / float(speed[1]), cpu)

    def _migrate(self, service: Service) -> None:
        # The search path puts each service's tables into their own schema.
        scratch = {f"{service.name.upper()}_DATABASE_URL": self._url}
        own = environment.for_service(service, self._values, scratch)
        own["PGOPTIONS"] = f"-c search_path={_schema(service)}"
        manage = [sys.executable, "manage.py", service.name, "migrate", "--verbosity", "0"]
        commands.run(manage, environment=own, directory=ROOT)

    def _execute(self, url: str, statement: str, parameters: Mapping[str, int] | None = None) -> None:
        with closing(psycopg2.connect(url)) as opened:
            opened.autocommit = True
            with opened.cursor() as opened_cursor:
                # The role's limit is for a service, not for filling tables.
                opened_cursor.execute("SET statement_timeout = 0")
                opened_cursor.execute(statement, parameters)


def _schema(service: Service) -> str:
    return f"{service.name}_service"


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
