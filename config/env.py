"""Every deployment value, in one place: name, type, default and meaning. The only reader of the environment.

Secrets come from the environment alone and have no default. A missing or bad value stops the start with a
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
    """Read postgres://user:password@host:port/name into Django's DATABASES form."""
    url("postgres", "postgresql")(text)
    return dict(environ.Env.db_url_config(text))


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
        "The service's own PostgreSQL: postgres://user:password@host:port/name.",
    ),
    Variable("{SERVICE}_SECRET_KEY", str, REQUIRED, "Django's secret key of this service, 50 random characters."),
    Variable(
        "{SERVICE}_ALLOWED_HOSTS", words, ["127.0.0.1", "localhost"], "Host names under which the service answers."
    ),
    Variable(
        "{SERVICE}_PUBLIC_URL",
        url("http", "https"),
        "",
        "How browsers reach the service; with https://, cookies are for TLS alone and X-Forwarded-Proto is trusted.",
    ),
    Variable("DEBUG", flag, False, "Django's debug pages. Never in production."),
    Variable("KAFKA_BOOTSTRAP_SERVERS", servers, REQUIRED, "The Kafka brokers: host:port[,host:port…]."),
    Variable("KAFKA_PARTITIONS", positive, 12, "Partitions of each topic when it is created."),
    Variable(
        "KAFKA_REPLICATION_FACTOR", positive, 3, "Replicas of each topic when it is created (1 on a single broker)."
    ),
    Variable(
        "CELERY_BROKER_URL", url("redis", "rediss"), REQUIRED, "Celery's Redis; holds nothing that can't be lost."
    ),
    Variable(
        "USER_URL", url("http", "https"), "http://127.0.0.1:8004", "The user service; its JWKS is read from here."
    ),
    Variable(
        "USER_JWKS",
        jwks,
        "",
        "The user service's JWKS as JSON, for a start while that service is down; what is read there replaces it.",
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
        "User service only: public keys (PEM) still shown in the JWKS after a rotation.",
    ),
    Variable(
        "WEB_DATABASE_SECONDS",
        positive,
        5,
        "Longest that an HTTP request waits for its database before it is answered 503; above the role's lock_timeout.",
    ),
    Variable("OUTBOX_SHARDS", positive, 8, "Relay shards; changed only by a migration on an empty outbox."),
    Variable(
        "INBOX_RETENTION_DAYS",
        not_negative,
        45,
        "How long handled events are remembered; longer than any consumed topic keeps them. 0: permanently.",
    ),
    Variable("CONSUMER_MAX_POLL_RECORDS", positive, 500, "Records in one batch, so in one transaction."),
    Variable(
        "CONSUMER_SESSION_TIMEOUT_MS",
        positive,
        10_000,
        "Silence after which Kafka gives a worker's partitions to others.",
    ),
    Variable("RETRY_IMMEDIATE", positive, 3, "Attempts at an event at once; a failure that is a bug has no others."),
    Variable(
        "RETRY_DELAYED",
        not_negative,
        8,
        "Further attempts after a transient failure, with the event's key parked meanwhile.",
    ),
    Variable("RETRY_PAUSE_SECONDS", positive, 1, "First delay between these attempts; doubles, with jitter."),
    Variable("RETRY_PAUSE_CAP_SECONDS", positive, 60, "Longest delay between these attempts."),
    Variable(
        "IDEMPOTENCY_RETENTION_HOURS",
        positive,
        72,
        "Order service: for how long a request with the same Idempotency-Key gets the first answer again.",
    ),
    Variable(
        "LIVENESS_FILE",
        str,
        "",
        "Workers: a file, one for each process, touched while its threads make progress; a probe looks at its age.",
    ),
    Variable("SAGA_DEADLINE_SECONDS", positive, 900, "Order service: a saga without all answers by then is canceled."),
    Variable(
        "SAGA_UNDO_BUDGET_SECONDS", positive, 600, "Order service: compensation unanswered for this long is stuck."
    ),
    Variable(
        "SAGA_UNDO_RETRY_SECONDS", positive, 30, "Order service: first wait before an undo is asked for again; doubles."
    ),
    Variable(
        "SAGA_UNDO_RETRY_CAP_SECONDS", positive, 600, "Order service: longest wait before an undo is asked for again."
    ),
)
_BY_NAME = {variable.name: variable for variable in VARIABLES}


def read(name: str, service: str = "") -> Any:
    """Return the value of the variable `name` (as written in VARIABLES) for `service`.

    ImproperlyConfigured, naming the variable, when it is missing without a default or not of its type.
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
            f"The environment variable {actual} is not usable: {error}. {variable.meaning}"
        ) from error


#: Names that begin so are ours alone; one that is not in VARIABLES is a slip of the pen.
OUR_PREFIXES = ("OUTBOX_", "INBOX_", "CONSUMER_", "RETRY_", "IDEMPOTENCY_", "SAGA_")


def refuse_unknown() -> None:
    """Raise ImproperlyConfigured, naming the variable and the nearest known one, when one of ours is not known."""
    for name in sorted(os.environ):
        if name.startswith(OUR_PREFIXES) and name not in _BY_NAME:
            near = difflib.get_close_matches(name, _BY_NAME, n=1)
            advice = f"Did you mean {near[0]}?" if near else "Take it out."
            raise ImproperlyConfigured(f"The environment variable {name} is not known. {advice}")
