"""Every reader of the environment takes what is good, refuses what is not, and names the variable."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from config.env import VARIABLES, read, refuse_unknown
from config.settings import base
from config.topology import SERVICES


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (env.positive, "12", 12),
        (env.flag, "true", True),
        (env.flag, "Yes", True),
        (env.flag, "1", True),
        (env.flag, "ON", True),
        (env.flag, "false", False),
        (env.flag, "no", False),
        (env.flag, "0", False),
        (env.flag, "off", False),
        (env.words, "a.example, b.example,", ["a.example", "b.example"]),
        (env.pem, r"-----BEGIN-----\nabc\n-----END-----", "-----BEGIN-----\nabc\n-----END-----"),
        (env.url("redis", "rediss"), "rediss://cache:6379/1", "rediss://cache:6379/1"),
        (env.servers, "one:9092", ["one:9092"]),
        (env.servers, "one:9092, two:9093", ["one:9092", "two:9093"]),
        (env.servers, "[::1]:9092", ["[::1]:9092"]),
    ],
)
def test_a_good_value_is_read(reader: Any, text: str, value: object) -> None:
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (env.positive, "0"),
        (env.positive, "-1"),
        (env.positive, "many"),
        (env.positive, "1.5"),
        (env.flag, "perhaps"),
        (env.flag, "2"),
        (env.url("http", "https"), "ftp://user"),
        (env.url("http", "https"), "user:8004"),
        (env.postgres, "mysql://a:b@host:3306/name"),
        (env.postgres, "postgres://a:b@host:port/name"),
        (env.postgres, "postgres://a:b@host/name?sslmod=require"),
        (env.servers, ","),
        (env.servers, "one"),
        (env.servers, "one:9092,two"),
        (env.servers, "one:"),
        (env.servers, "one:kafka"),
        (env.servers, ":9092"),
    ],
)
def test_a_bad_value_is_refused(reader: Any, text: str) -> None:
    with pytest.raises(ValueError, match="."):
        reader(text)


def test_a_database_address_is_read_into_its_parts() -> None:
    found = env.postgres("postgres://me:p%23ss@db.example:5433/shop")

    assert found["ENGINE"] == "django.db.backends.postgresql"
    parts = ("USER", "PASSWORD", "HOST", "PORT", "NAME")
    assert [found[name] for name in parts] == ["me", "p#ss", "db.example", 5433, "shop"]


def test_options_of_a_database_address_reach_the_connection_beside_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    options = "sslmode=verify-full&sslrootcert=/ca.pem&target_session_attrs=read-write&connect_timeout=7"
    monkeypatch.setenv("ORDER_DATABASE_URL", f"postgres://someone:secret@db/orders?{options}")

    found = base._database(SERVICES["order"])["OPTIONS"]

    assert found.items() >= {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "connect_timeout": 7}.items()
    assert found["target_session_attrs"] == "read-write" and found["application_name"] == "order:app"


def test_a_services_own_variable_is_read_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPON_SECRET_KEY", "coupon's")
    monkeypatch.setenv("ORDER_SECRET_KEY", "order's")

    assert read("{SERVICE}_SECRET_KEY", "coupon") == "coupon's"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_SHARDS", "")
    monkeypatch.setenv("CELERY_BROKER_URL", "")

    assert read("OUTBOX_SHARDS") == 8
    with pytest.raises(ImproperlyConfigured, match="^Set the environment variable CELERY_BROKER_URL"):
        read("CELERY_BROKER_URL")


def test_a_bad_value_is_named_with_what_is_wrong_and_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_IMMEDIATE", "0")

    with pytest.raises(ImproperlyConfigured, match=r"RETRY_IMMEDIATE is invalid: must be above zero\. Immediate"):
        read("RETRY_IMMEDIATE")


def test_a_default_is_what_its_reader_would_return() -> None:
    defaults = [each.default for each in VARIABLES if each.default is not env.REQUIRED]

    assert {type(default) for default in defaults} <= {int, bool, str, list}
    assert not [each.name for each in VARIABLES if each.read is env.positive and not _is_positive(each.default)]


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and value > 0


def test_every_variable_is_named_once_and_has_a_meaning() -> None:
    names = [variable.name for variable in VARIABLES]

    assert len(names) == len(set(names))
    assert not [each.name for each in VARIABLES if not each.meaning.endswith(".")]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("SAGA_DEADLINE_SECOND", "Did you mean SAGA_DEADLINE_SECONDS?"),
        ("RETRY_IMEDIATE", "Did you mean RETRY_IMMEDIATE?"),
        ("OUTBOX_XYZ_QQQQQQQQQ", "Remove it."),
    ],
)
def test_a_slip_of_the_pen_stops_the_start_with_advice(monkeypatch: pytest.MonkeyPatch, name: str, advice: str) -> None:
    monkeypatch.setenv(name, "1")

    with pytest.raises(ImproperlyConfigured) as refused:
        refuse_unknown()

    assert str(refused.value) == f"The environment variable {name} is not known. {advice}"


def test_known_variables_and_those_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SAGA_DEADLINE_SECONDS", "OUTBOX_SHARDS", "CONSUMER_MAX_POLL_RECORDS", "SOMEBODY_ELSES"):
        monkeypatch.setenv(name, "1")

    refuse_unknown()
