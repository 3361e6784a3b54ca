"""Idempotency-Key: a repeated request has its effect once and gets the first answer.

A key belongs to the user who sent it. A service either stores the first answers in its own table (`answer_once`), or
finds the earlier effect of the key in its other tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, models
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from webapi.problems import Problem

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


class KeyReused(Problem):
    """422: the key was used for another request."""

    def __init__(self) -> None:
        detail = "This Idempotency-Key was used for another request; use a new one."
        super().__init__(422, "idempotency_key_reused", detail)


@dataclass(frozen=True)
class Key:
    """Identifies a repeatable request of a user: the client's key, and the hash of its body."""

    user_id: UUID
    text: str
    body_hash: str


def key_header(description: str, *, required: bool = False) -> OpenApiParameter:
    """Return the header for the schema."""
    return OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, required=required, description=description)


def find_key(request: Request) -> Key | None:
    """Return the request's key; None without one. Problem (400) if it is too long or not printable."""
    text = request.headers.get(HEADER, "").strip()
    if not text:
        return None
    if len(text) > MAX_LENGTH or not text.isprintable():
        raise Problem(
            400, "idempotency_key_invalid", f"The {HEADER} must have at most {MAX_LENGTH} characters, all printable."
        )
    canonical = json.dumps(request.data, sort_keys=True, separators=(",", ":"), default=str)
    return Key(request.user.id, text, hashlib.sha256(canonical.encode()).hexdigest())


def need_key(request: Request) -> Key:
    """Return the request's key. Problem (400) if it is missing, too long or not printable."""
    key = find_key(request)
    if key is None:
        raise Problem(400, "idempotency_key_missing", f"Send an {HEADER} header, new for each request.")
    return key


def answer_once(answers: type[models.Model], key: Key, answer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of `answer`, or its first result for this key. The caller must open the transaction.

    `answers` is the table: user_id, key (unique together), body_hash, response (JSON, null) and created_at. KeyReused
    if the key was used for another body. If `answer` raises, the rollback frees the key.
    """
    while not _claim(answers, key):
        # The key may have expired in between. Then it is free again.
        if (first := _first_response(answers, key)) is not None:
            return first
    response = answer()
    _keep_response(answers, key, response)
    return response


def _claim(answers: type[models.Model], key: Key) -> bool:
    # Of two simultaneous requests, the second waits here until the first commits or rolls back.
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {answers._meta.db_table} (user_id, key, body_hash, created_at) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (user_id, key) DO NOTHING RETURNING id",
            [key.user_id, key.text, key.body_hash, timezone.now()],
        )
        return cursor.fetchone() is not None


def _keep_response(answers: type[models.Model], key: Key, response: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {answers._meta.db_table} SET response = %s::jsonb WHERE user_id = %s AND key = %s",
            [json.dumps(response), key.user_id, key.text],
        )


def _first_response(answers: type[models.Model], key: Key) -> dict[str, Any] | None:
    first: Any = answers._default_manager.filter(user_id=key.user_id, key=key.text).first()
    if first is None:
        return None
    if first.body_hash != key.body_hash:
        raise KeyReused
    response: dict[str, Any] = first.response
    return response
