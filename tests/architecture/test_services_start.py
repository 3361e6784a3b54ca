"""Each service's project loads with its own variables alone, and says which one is missing or invalid."""

from __future__ import annotations

import pytest

from config.topology import SERVICES, Service
from docs.generate.services import required_variables, run_python

BAD_VALUES = {
    "_DATABASE_URL": "mysql://somewhere/else",
    "KAFKA_BOOTSTRAP_SERVERS": "a host without a port",
    "CELERY_BROKER_URL": "amqp://localhost",
    "KAFKA_PARTITIONS": "0",
    "DEBUG": "perhaps",
}
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
MISSING = [(service, name) for service in SERVICES.values() for name in required_variables(service)]


def load(service: Service, variables: dict[str, str]) -> tuple[int, str]:
    """Import the settings of a service in a process of its own; return the exit code and what it said."""
    done = run_python(["-c", f"import {service.settings_module}"], variables)
    return done.returncode, done.stderr


@each_service
def test_a_service_asks_for_no_other_services_variables(service: Service) -> None:
    others = [f"{name.upper()}_" for name in SERVICES if name != service.name]

    assert not [name for name in required_variables(service) if name.startswith(tuple(others))]
    assert load(service, required_variables(service)) == (0, "")


@each_service
def test_a_service_passes_djangos_checks_and_lacks_no_migration(service: Service) -> None:
    variables = required_variables(service)
    checked = run_python(["manage.py", service.name, "check"], variables)
    migrated = run_python(
        ["-W", "ignore", "manage.py", service.name, "makemigrations", "--check", "--dry-run"], variables
    )

    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr


@each_service
def test_a_web_process_has_its_urls_before_the_first_request(service: Service) -> None:
    code = f"import sys, config.wsgi; print('config.urls.{service.name}' in sys.modules)"
    variables = required_variables(service) | {"DJANGO_SETTINGS_MODULE": service.settings_module}
    done = run_python(["-W", "ignore", "-c", code], variables)

    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize(("service", "name"), MISSING, ids=lambda each: getattr(each, "name", each))
def test_a_missing_variable_stops_the_start_by_name(service: Service, name: str) -> None:
    variables = required_variables(service)
    del variables[name]
    code, said = load(service, variables)

    assert code != 0
    assert f"Set the environment variable {name}." in said.splitlines()[-1]


@pytest.mark.parametrize("ending", BAD_VALUES)
def test_a_value_of_the_wrong_type_stops_the_start_by_name(ending: str) -> None:
    service = SERVICES["product"]
    name = "PRODUCT_DATABASE_URL" if ending == "_DATABASE_URL" else ending
    code, said = load(service, required_variables(service) | {name: BAD_VALUES[ending]})

    assert code != 0
    assert f"The environment variable {name} is invalid" in said.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["payment"], ["payment", "migrate"], ["migrate"]])
def test_manage_without_a_service_prints_a_usage_with_all_four(arguments: list[str]) -> None:
    done = run_python(["manage.py", *arguments], {})

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: manage.py <service> <command>")
    assert not [name for name in SERVICES if name not in done.stderr]
    assert "Traceback" not in done.stderr


def test_manage_takes_the_service_from_the_settings_module_too() -> None:
    service = SERVICES["coupon"]
    variables = required_variables(service) | {"DJANGO_SETTINGS_MODULE": service.settings_module}
    done = run_python(
        ["manage.py", "shell", "-v0", "-c", "from django.conf import settings as s; print(s.SERVICE_NAME)"], variables
    )

    assert (done.returncode, done.stdout.strip()) == (0, "coupon")
