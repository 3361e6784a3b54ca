"""The variables: one file that a shell and a dotenv reader take alike, and to each service only its own."""

from __future__ import annotations

import shlex
import stat
import subprocess

import environ
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config.env import pem, postgres
from config.topology import SERVICES, Service
from stack import environment
from stack.layout import Layout
from stack.state import State


@pytest.fixture(autouse=True)
def _nothing_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.REPLACEABLE:
        monkeypatch.delenv(name, raising=False)


def test_the_env_file_is_private(layout: Layout, values: dict[str, str]) -> None:
    environment.write(layout, values)

    assert stat.S_IMODE(layout.env.stat().st_mode) == 0o600


def test_a_shell_and_a_dotenv_reader_find_the_same_in_the_env_file(
    layout: Layout, values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.write(layout, values)

    script = f"set -a; . {shlex.quote(str(layout.env))}; env -0"
    shell = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    seen = dict(pair.split("=", 1) for pair in shell.split("\0") if pair)
    dotenv: dict[str, str] = {}
    monkeypatch.setattr(environ.Env, "ENVIRON", dotenv)
    environ.Env.read_env(str(layout.env))

    assert {name: seen[name] for name in values} == values == environment.read(layout)
    assert {name: pem(value) for name, value in dotenv.items()} == {name: pem(value) for name, value in values.items()}


def test_what_the_env_file_holds_can_be_used(values: dict[str, str]) -> None:
    load_pem_private_key(pem(values["USER_SIGNING_KEY"]).encode(), None)

    for name in SERVICES:
        parts = postgres(values[f"{name.upper()}_DATABASE_URL"])
        assert parts["USER"] == parts["NAME"] == f"{name}_service"
        assert len(values[f"{name.upper()}_SECRET_KEY"]) >= 50
    assert len(set(values.values())) > len(SERVICES) * 3


def test_three_brokers_are_all_named_and_their_controllers_are_not(state: State) -> None:
    ports = [state.ports[name] for name in ("kafka", "kafka-2", "kafka-3")]

    assert state.addresses["KAFKA_BOOTSTRAP_SERVERS"] == ",".join(f"127.0.0.1:{port}" for port in ports)


def test_what_the_caller_names_replaces_a_part(state: State, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    monkeypatch.setenv("CELERY_BROKER_URL", "")
    replaced = environment.replaced(layout)

    assert replaced == {"KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092"}
    values = environment.variables(state, replaced, replication_factor=1)
    assert values["KAFKA_BOOTSTRAP_SERVERS"] == "kafka.example:9092"
    assert values["CELERY_BROKER_URL"] == state.addresses["CELERY_BROKER_URL"]


def test_a_shell_that_has_read_the_env_file_replaces_nothing(
    state: State, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save(layout)
    for name in environment.REPLACEABLE:
        monkeypatch.setenv(name, state.addresses[name])

    assert environment.replaced(layout) == {}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_service_gets_nothing_of_another_ones(
    service: Service, values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRODUCT_ALLOWED_HOSTS", "product.example")
    found = environment.for_service(service, values, {})
    name = service.name
    others = [f"{other.upper()}_" for other in SERVICES if other not in (name, "user")]

    assert found[f"{name.upper()}_DATABASE_URL"] == values[f"{name.upper()}_DATABASE_URL"]
    assert not [key for key in found if key.startswith(tuple(others))]
    assert {key for key in found if key.startswith("USER_")} - {"USER_URL"} == {
        key for key in ("USER_DATABASE_URL", "USER_SECRET_KEY", "USER_SIGNING_KEY") if name == "user"
    }
    assert "OPERATOR_PASSWORD" not in found
    assert ("PRODUCT_ALLOWED_HOSTS" in found) == (name == "product")


def test_a_callers_setting_reaches_the_services_and_a_tests_setting_wins(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGA_DEADLINE_SECONDS", "60")
    monkeypatch.setenv("RETRY_IMMEDIATE", "5")
    found = environment.for_service(SERVICES["order"], values, {"SAGA_DEADLINE_SECONDS": "2"})

    assert (found["SAGA_DEADLINE_SECONDS"], found["RETRY_IMMEDIATE"]) == ("2", "5")
    assert found["DJANGO_SETTINGS_MODULE"] == "config.settings.order"
