"""Every deployment value: name, type, default and meaning. The only reader of the environment.

Secrets come only from the environment and have no default. A missing or bad value stops the start with a
message that names the variable.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn

REQUIRED = object()


@dataclass(frozen=True)
class Variable:
    """An environment variable; `{SERVICE}` in its name stands for the service that reads it."""

    name: str
    read: Callable[[str], Any]
    default: Any
    meaning: str


def positive(text: str) -> int:
    """Read a whole number above zero; ValueError otherwise."""
    number = int(text)
    if number <= 0:
        raise ValueError("must be above zero")
    return number


def not_negative(text: str) -> int:
    """Read a whole number, zero or more; ValueError otherwise."""
    number = int(text)
    if number < 0:
        raise ValueError("must not be below zero")
    return number


def flag(text: str) -> bool:
    """Read true or false, also as 1/0, yes/no, on/off; ValueError otherwise."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError("must be true or false")
    return words[text.lower()]


def pem(text: str) -> str:
    """Read PEM text in which a newline may be written as backslash n, as dotenv files do."""
    return text.replace("\\n", "\n")


def jwks(text: str) -> str:
    """Check that the text is a JWKS (RFC 7517) and return it as it is; ValueError otherwise."""
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError('must be JSON such as {"keys": […]}')
    return text


def words(text: str) -> list[str]:
    """Read a comma separated list without blanks."""
    return [word.strip() for word in text.split(",") if word.strip()]


def url(*schemes: str) -> Callable[[str], str]:
    """Return a reader for a URL of one of `schemes`."""

    def read(text: str) -> str:
        if urlsplit(text).scheme not in schemes:
            raise ValueError(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return text

    return read


def postgres(text: str) -> dict[str, Any]:
    """Read postgres://user:password@host:port/name?option=value into Django's DATABASES form.

    The options are those of libpq (https://www.postgresql.org/docs/current/libpq-connect.html), such as sslmode.
    ValueError for one that libpq does not have: a misspelled sslmode must not mean a plain connection.
    """
    url("postgres", "postgresql")(text)
    database = dict(environ.Env.db_url_config(text))
    try:
        make_dsn(**database.get("OPTIONS", {}))
    except ProgrammingError as error:
        raise ValueError(str(error).strip()) from None
    return database


def servers(text: str) -> list[str]:
    """Read host:port[,host:port…]; ValueError when one has no host or no port."""
    addresses = words(text)
    parts = [address.rpartition(":") for address in addresses]
    if not parts or not all(host and port.isdigit() for host, _, port in parts):
        raise ValueError("must be host:port[,host:port…]")
    return addresses


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "{SERVICE}_DATABASE_URL",
        postgres,
        REQUIRED,
        "The service's own PostgreSQL: postgres://user:password@host:port/name?option=value; libpq's options, such as"
        " sslmode=verify-full&sslrootcert=FILE.",
    ),
    Variable(
        "{SERVICE}_DATABASE_DIRECT_URL",
        postgres,
        "",
        "The same database without a pooler, needed when {SERVICE}_DATABASE_URL names one that pools transactions:"
        " locks and notifications of workers need a session of their own.",
    ),
    Variable("{SERVICE}_SECRET_KEY", str, REQUIRED, "Django's secret key of this service, 50 random characters."),
    Variable(
        "{SERVICE}_ALLOWED_HOSTS", words, ["127.0.0.1", "localhost"], "Host names of the service, for the Host header."
    ),
    Variable(
        "{SERVICE}_PUBLIC_URL",
        url("http", "https"),
        "",
        "The URL that browsers use. With https:// cookies are Secure and X-Forwarded-Proto is trusted.",
    ),
    Variable("DEBUG", flag, False, "Django's debug pages. Never in production."),
    Variable("KAFKA_BOOTSTRAP_SERVERS", servers, REQUIRED, "The Kafka brokers: host:port[,host:port…]."),
    Variable("KAFKA_PARTITIONS", positive, 12, "Partitions of each topic when it is created."),
    Variable(
        "KAFKA_REPLICATION_FACTOR", positive, 3, "Replicas of each topic when it is created (1 on a single broker)."
    ),
    Variable("CELERY_BROKER_URL", url("redis", "rediss"), REQUIRED, "Celery's Redis. Losing its data is harmless."),
    Variable(
        "RATE_LIMIT_URL", url("redis", "rediss"), "", "Redis that counts attempts; CELERY_BROKER_URL if it is not set."
    ),
    Variable(
        "NUM_PROXIES",
        not_negative,
        0,
        "Proxies in front of the service that add to X-Forwarded-For. With 0 that header is not believed.",
    ),
    Variable(
        "ANONYMOUS_READS_PER_MINUTE",
        positive,
        600,
        "Requests a minute for the products from one address without a token.",
    ),
    Variable(
        "REGISTRATIONS_PER_MINUTE",
        positive,
        30,
        "User service: attempts to register a minute from one address. Each costs a password's hash.",
    ),
    Variable(
        "USER_URL",
        url("http", "https"),
        "http://127.0.0.1:8004",
        "The user service's URL; its JWKS is read from there.",
    ),
    Variable(
        "USER_JWKS",
        jwks,
        "",
        "The user service's JWKS as JSON, used at start while the user service is down; its own JWKS then replaces it.",
    ),
    Variable(
        "USER_SIGNING_KEY",
        pem,
        REQUIRED,
        "User service only: the private key (PEM, PKCS 8, Ed25519) that signs tokens.",
    ),
    Variable(
        "USER_RETIRED_PUBLIC_KEYS",
        pem,
        "",
        "User service only: public keys (PEM) that the JWKS also contains, for a rotation.",
    ),
    Variable(
        "WEB_DATABASE_SECONDS",
        positive,
        5,
        "Longest wait of an HTTP request for its database; then it gets 503. Must be above the role's lock_timeout.",
    ),
    Variable(
        "OUTBOX_SHARDS", positive, 8, "Shards of the outbox relay. Only a migration on an empty outbox can change this."
    ),
    Variable(
        "INBOX_RETENTION_DAYS",
        not_negative,
        45,
        "Days that the inbox keeps handled events; must exceed the retention of every consumed topic. 0: permanently.",
    ),
    Variable(
        "CONSUMER_MAX_POLL_RECORDS", positive, 500, "Largest number of records in one batch, which is one transaction."
    ),
    Variable(
        "CONSUMER_SESSION_TIMEOUT_MS",
        positive,
        10_000,
        "Milliseconds without a heartbeat after which Kafka gives a worker's partitions to others.",
    ),
    Variable(
        "RETRY_IMMEDIATE",
        positive,
        3,
        "Immediate attempts at an event. A failure that is not transient gets only these.",
    ),
    Variable(
        "RETRY_DELAYED",
        not_negative,
        8,
        "Further attempts after a transient failure. Meanwhile the event's key is parked.",
    ),
    Variable("RETRY_PAUSE_SECONDS", positive, 1, "First delay between these attempts; doubles, with jitter."),
    Variable("RETRY_PAUSE_CAP_SECONDS", positive, 60, "Longest delay between these attempts."),
    Variable(
        "IDEMPOTENCY_RETENTION_HOURS",
        positive,
        72,
        "How long a request with the same Idempotency-Key gets the first answer.",
    ),
    Variable(
        "LIVENESS_FILE",
        str,
        "",
        "Workers: a file, one per process, that it touches while its threads make progress; a probe checks its age.",
    ),
    Variable(
        "SAGA_DEADLINE_SECONDS",
        positive,
        900,
        "Order service: a saga whose answers are not complete after this time is canceled.",
    ),
    Variable(
        "SAGA_UNDO_BUDGET_SECONDS",
        positive,
        600,
        "Order service: a saga whose undo answers are missing for this long becomes stuck.",
    ),
    Variable(
        "SAGA_UNDO_RETRY_SECONDS",
        positive,
        30,
        "Order service: first delay before an undo request is sent again; doubles.",
    ),
    Variable(
        "SAGA_UNDO_RETRY_CAP_SECONDS",
        positive,
        600,
        "Order service: longest delay before an undo request is sent again.",
    ),
)
_BY_NAME = {variable.name: variable for variable in VARIABLES}


def read(name: str, service: str = "") -> Any:
    """Return the value of the variable `name` (as written in VARIABLES) for `service`.

    ImproperlyConfigured, with the variable's name, if it is missing and has no default, or is not of its type.
    """
    variable = _BY_NAME[name]
    actual = name.replace("{SERVICE}", service.upper())
    text = os.environ.get(actual, "")
    if text == "":
        if variable.default is REQUIRED:
            raise ImproperlyConfigured(f"Set the environment variable {actual}. {variable.meaning}")
        return variable.default
    try:
        return variable.read(text)
    except (ValueError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(
            f"The environment variable {actual} is invalid: {error}. {variable.meaning}"
        ) from error


#: Only this system uses names with these prefixes, so a name that is not in VARIABLES is a typing error.
OUR_PREFIXES = ("OUTBOX_", "INBOX_", "CONSUMER_", "RETRY_", "IDEMPOTENCY_", "SAGA_", "RATE_LIMIT_", "NUM_PROX")


def refuse_unknown() -> None:
    """Raise ImproperlyConfigured for an unknown variable of this system, with the most similar known name."""
    for name in sorted(os.environ):
        if name.startswith(OUR_PREFIXES) and name not in _BY_NAME:
            near = difflib.get_close_matches(name, _BY_NAME, n=1)
            advice = f"Did you mean {near[0]}?" if near else "Remove it."
            raise ImproperlyConfigured(f"The environment variable {name} is not known. {advice}")
