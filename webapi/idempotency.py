"""Idempotency-Key: a repeated request has its effect once and gets the first answer.

A key belongs to the user who sent it, and to one request: method, path and body. Each service keeps the first answers
in a table of its own (webapi.stored_answers), written in the transaction of the effect.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder

from webapi.problems import Problem
from webapi.stored_answers import StoredAnswer

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
REPLAYED_HEADER = "Idempotent-Replayed"
#: The user of a key that came without a token. Such keys share one space, so they should be random.
NOBODY = UUID(int=0)

REPLAYED = OpenApiParameter(
    REPLAYED_HEADER,
    bool,
    OpenApiParameter.HEADER,
    response=[201, 202],
    description="`true`: this is the first answer to the same request, sent again. Nothing was done.",
)


class KeyReused(Problem):
    """422: the key was used for another request."""

    def __init__(self) -> None:
        detail = "This Idempotency-Key was used for another request; use a new one."
        super().__init__(422, "idempotency_key_reused", detail)


@dataclass(frozen=True)
class Key:
    """Identifies a repeatable request of a user: the client's key, what it asks for, and the hash of its body."""

    user_id: UUID
    text: str
    target: str
    body_hash: str


class Answer(NamedTuple):
    """The body of an answer, and the headers that say whether it was given before."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]


def key_header(description: str, *, required: bool = False) -> list[OpenApiParameter]:
    """Return the headers of request and answer for the schema."""
    header = OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, required=required, description=description)
    return [header, REPLAYED]


def find_key(request: Request) -> Key | None:
    """Return the request's key; None without one. Problem (400) if it is too long or not printable."""
    text = request.headers.get(HEADER, "").strip()
    if not text:
        return None
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise Problem(
            400, "idempotency_key_invalid", f"The {HEADER} must have at most {MAX_LENGTH} characters, all printable."
        )
    user_id = getattr(request.user, "id", None)
    # An id in a path may be in upper case.
    return Key(user_id or NOBODY, text, f"{request.method} {request.path.lower()}", _hash(request.data, user_id))


def need_key(request: Request) -> Key:
    """Return the request's key. Problem (400) if it is missing, too long or not printable."""
    key = find_key(request)
    if key is None:
        raise Problem(400, "idempotency_key_missing", f"Send an {HEADER} header, new for each request.")
    return key


def answer_once(answers: type[StoredAnswer], key: Key | None, answer: Callable[[], Mapping[str, Any]]) -> Answer:
    """Return the result of `answer`, or its first result for this key. The caller must open the transaction.

    KeyReused if the key was used for another request. If `answer` raises, the rollback frees the key. Without a key,
    every request is a new one.
    """
    if key is None:
        return Answer(answer(), {})
    while not _claim(answers, key):
        # The key may have expired in between. Then it is free again.
        if (first := _first_response(answers, key)) is not None:
            return Answer(first, {REPLAYED_HEADER: "true"})
    response = answer()
    _keep_response(answers, key, response)
    return Answer(response, {})


def _hash(body: Any, user_id: UUID | None) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    if user_id is None:
        # The body of a registration has a password. A plain hash of it could be guessed offline.
        return salted_hmac(__name__, canonical, algorithm="sha256").hexdigest()
    return hashlib.sha256(canonical.encode()).hexdigest()


def _claim(answers: type[StoredAnswer], key: Key) -> bool:
    # Of two simultaneous requests, the second waits here until the first commits or rolls back.
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {answers._meta.db_table} (user_id, key, target, body_hash, created_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (user_id, key) DO NOTHING RETURNING id",
            [key.user_id, key.text, key.target, key.body_hash, timezone.now()],
        )
        return cursor.fetchone() is not None


def _keep_response(answers: type[StoredAnswer], key: Key, response: Mapping[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {answers._meta.db_table} SET response = %s::jsonb WHERE user_id = %s AND key = %s",
            [json.dumps(response, cls=JSONEncoder), key.user_id, key.text],
        )


def _first_response(answers: type[StoredAnswer], key: Key) -> dict[str, Any] | None:
    first = answers._default_manager.filter(user_id=key.user_id, key=key.text).first()
    if first is None:
        return None
    if first.body_hash != key.body_hash or first.target not in ("", key.target):
        raise KeyReused
    response: dict[str, Any] = first.response
    return response
