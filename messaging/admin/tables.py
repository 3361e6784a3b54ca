"""The tables of messaging that operators read: outbox, inbox, positions, replays and the audit log."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from messaging.admin.filters import HandlerFilter, TopicFilter, TypeFilter
from messaging.admin.read_only import ReadOnlyAdmin
from messaging.admin.rendering import pretty, table
from messaging.models import ConsumerPosition, InboxRow, OperatorAction, OutboxRow, ReplayRun


@admin.register(OutboxRow)
class OutboxAdmin(ReadOnlyAdmin):
    list_display = ("id", "type", "topic", "key", "shard", "occurred_at", "refused")
    list_filter = (("refused", admin.EmptyFieldListFilter), TopicFilter, TypeFilter)
    search_fields = ("key", "event_id", "correlation_id")
    readonly_fields = ("value",)
    exclude = ("data", "raw")

    @admin.display(description=_("data"))
    def value(self, row: OutboxRow) -> str:
        return pretty(row.data)


@admin.register(InboxRow)
class InboxAdmin(ReadOnlyAdmin):
    list_display = ("event_id", "handler", "topic", "partition", "offset", "key", "state", "attempts", "received_at")
    exclude = ("raw",)
    list_filter = ("state", HandlerFilter, TopicFilter)
    search_fields = ("=event_id", "=key")


@admin.register(ConsumerPosition)
class ConsumerPositionAdmin(ReadOnlyAdmin):
    list_display = ("consumer_group", "topic", "partition", "next_offset", "stopped_at", "stopped_reason")
    list_filter = ("consumer_group", "topic", ("stopped_at", admin.EmptyFieldListFilter))


@admin.register(ReplayRun)
class ReplayRunAdmin(ReadOnlyAdmin):
    list_display = ("topic", "actor", "reason", "started_at", "finished_at")
    search_fields = ("topic", "actor", "reason")


@admin.register(OperatorAction)
class OperatorActionAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "verb", "reason", "outcomes")
    list_filter = ("verb",)
    search_fields = ("actor", "reason")
    fields = ("at", "actor", "verb", "reason", "outcomes", "each")
    readonly_fields = ("outcomes", "each")

    @admin.display(description=_("results"))
    def outcomes(self, action: OperatorAction) -> str:
        """Return how often each outcome came."""
        found = [result["outcome"] for result in action.results]
        return ", ".join(f"{found.count(outcome)} {outcome}" for outcome in sorted(set(found)))

    @admin.display(description=_("each"))
    def each(self, action: OperatorAction) -> str:
        """Return the result of each target as a table."""
        names = ("event_id", "handler", "outcome", "detail")
        titles = (_("event"), _("handler or topic"), _("outcome"), _("why"))
        return table(titles, [[result.get(name, "") for name in names] for result in action.results])
