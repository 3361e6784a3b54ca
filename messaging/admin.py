"""The library's tables in each service's admin: ledgers, to be read and not to be changed by hand."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from messaging.models import ConsumerPosition, DeadLetterRow, InboxRow, OutboxRow, ReplayRun
from messaging.record import unpacked


class Ledger(admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that is shown and never edited."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def shown(data: bytes | memoryview) -> str:
    """Return raw bytes as text, whatever they are."""
    return bytes(data).decode(errors="replace")


@admin.register(OutboxRow)
class OutboxAdmin(Ledger):
    list_display = ("id", "type", "topic", "key", "shard", "occurred_at")
    list_filter = ("topic", "type")
    search_fields = ("key", "event_id", "correlation_id")
    readonly_fields = ("value",)
    exclude = ("data", "raw")

    @admin.display(description="data")
    def value(self, row: OutboxRow) -> str:
        return shown(row.data)


@admin.register(InboxRow)
class InboxAdmin(Ledger):
    list_display = ("event_id", "handler", "topic", "partition", "offset", "key", "state", "attempts", "received_at")
    exclude = ("raw",)
    list_filter = ("state", "handler", "topic")
    search_fields = ("=event_id", "=key")


@admin.register(ConsumerPosition)
class ConsumerPositionAdmin(Ledger):
    list_display = ("consumer_group", "topic", "partition", "next_offset", "stopped_at", "stopped_reason")
    list_filter = ("consumer_group", "topic", ("stopped_at", admin.EmptyFieldListFilter))


@admin.register(DeadLetterRow)
class DeadLetterAdmin(Ledger):
    list_display = ("event_id", "handler", "type", "key", "reason", "at")
    list_filter = ("reason", "handler", "type")
    search_fields = ("=event_id", "=key")
    readonly_fields = ("value",)
    exclude = ("raw", "edited")

    @admin.display(description="data")
    def value(self, row: DeadLetterRow) -> str:
        return shown(unpacked(row.raw).value or b"")


@admin.register(ReplayRun)
class ReplayRunAdmin(Ledger):
    list_display = ("topic", "actor", "reason", "started_at", "finished_at")
    search_fields = ("topic", "actor", "reason")
