"""The table of a service that keeps the first answer to each request with an Idempotency-Key."""

from __future__ import annotations

from django.db import models


class StoredAnswer(models.Model):
    """The first answer to a request with a key. `response` is empty only inside the transaction that makes it."""

    #: The caller; NOBODY (webapi.idempotency) for a request without a token.
    user_id = models.UUIDField()
    key = models.CharField(max_length=255)
    #: What was asked: method and path. Empty in rows of older releases.
    target = models.TextField(default="", db_default="")
    body_hash = models.CharField(max_length=64)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        abstract = True
        verbose_name = "idempotency key"
        verbose_name_plural = "idempotency keys"

    def __str__(self) -> str:
        return self.key
