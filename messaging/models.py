"""The tables of the library in each service's database."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messaging.states import InboxState, Resolution


class OutboxRow(models.Model):
    """An event that was committed and is not yet acknowledged by Kafka. The relay deletes it when it is."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=255)
    topic = models.CharField(max_length=249)
    key = models.TextField()
    shard = models.SmallIntegerField()
    type = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    correlation_id = models.TextField()
    causation_id = models.TextField(null=True)
    #: Further headers, as one JSON object of strings.
    extra = models.TextField(default="")
    data = models.BinaryField()
    #: A whole record, packed, that the relay sends unchanged: a dead letter.
    raw = models.BinaryField(null=True)
    #: Why Kafka does not take the event, since the relay last tried; its key waits.
    refused = models.TextField(null=True)

    class Meta:
        db_table = "messaging_outbox"
        indexes = [
            models.Index(fields=["shard", "id"], name="outbox_shard_id"),
            models.Index(fields=["key"], name="outbox_key"),
            models.Index(fields=["id"], name="outbox_refused", condition=models.Q(refused__isnull=False)),
        ]
        verbose_name = _("outbox row")
        verbose_name_plural = _("outbox")

    def __str__(self) -> str:
        return f"{self.id} {self.type} {self.key}"


class InboxRow(models.Model):
    """An event that a handler has seen. The pair (event, handler) is unique, so the effect happens once.

    An event is its source and its id. When two sources have one id, the later event's row has an `event_id` that names
    its source too: see messaging.inbox.identity.
    """

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=255)
    handler = models.CharField(max_length=100)
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    key = models.TextField()
    state = models.CharField(max_length=10, choices=InboxState, default=InboxState.DONE)
    attempts = models.SmallIntegerField(default=1)
    fingerprint = models.TextField(null=True)
    error = models.TextField(null=True)
    received_at = models.DateTimeField(default=timezone.now)
    #: The whole record, packed, while the row is in its key's queue: it waits, or is dead and its key is parked.
    raw = models.BinaryField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    #: The event's source; '' for the topic's own publisher, NULL in a row of a release that did not keep it.
    source = models.TextField(null=True)
    #: The event's id, where `event_id` names its source too.
    ce_id = models.CharField(max_length=255, null=True)

    class Meta:
        db_table = "messaging_inbox"
        constraints = [models.UniqueConstraint(fields=["event_id", "handler"], name="inbox_once")]
        indexes = [
            models.Index(fields=["key", "topic", "offset"], name="inbox_key_order"),
            models.Index(fields=["topic", "key", "offset"], name="inbox_queue", condition=models.Q(raw__isnull=False)),
            models.Index(fields=["ce_id", "handler"], name="inbox_same_id", condition=models.Q(ce_id__isnull=False)),
        ]
        verbose_name = _("inbox row")
        verbose_name_plural = _("inbox")

    def __str__(self) -> str:
        return f"{self.event_id} {self.handler} {self.state}"

    @property
    def target(self) -> tuple[str, str]:
        """What an operator's action takes: the event at the handler."""
        return (self.event_id, self.handler)


class ConsumerPosition(models.Model):
    """The position of a consumer group of this service in a partition; Kafka's own offset only follows it."""

    id = models.BigAutoField(primary_key=True)
    consumer_group = models.CharField(max_length=100)
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    next_offset = models.BigIntegerField()
    stopped_reason = models.TextField(null=True)
    stopped_at = models.DateTimeField(null=True)
    #: The log to which the position belongs: its topic's id, and the leader epoch of the last record before
    #: `epoch_offset`. A release that does not know them moves the position without them.
    topic_id = models.UUIDField(null=True)
    leader_epoch = models.IntegerField(null=True)
    epoch_offset = models.BigIntegerField(null=True)
    #: The position that was found to be outside the log. While it is there, only reset_consumer_offsets moves it.
    outside_at = models.BigIntegerField(null=True)
    #: Where the group is known to have been before the database lost commits. While the position is before it, nothing
    #: of this service continues.
    lost_until = models.BigIntegerField(null=True)
    #: The worker that has the partition; the name stays when that worker dies.
    owner = models.TextField(null=True)
    #: The crash mark: the event's offset, the worker that handles it, and how many workers died at that event.
    marked_offset = models.BigIntegerField(null=True)
    marked_by = models.TextField(null=True)
    deaths = models.SmallIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "messaging_consumer_position"
        constraints = [models.UniqueConstraint(fields=["consumer_group", "topic", "partition"], name="one_position")]
        verbose_name = _("consumer position")
        verbose_name_plural = _("consumer positions")

    def __str__(self) -> str:
        return f"{self.consumer_group} {self.topic}/{self.partition} at {self.next_offset}"


class GroupMember(models.Model):
    """A member of a consumer group: one of this service's workers, or a foreign one that Kafka showed.

    A foreign one may be in another service's group, of which this service waits for answers.
    """

    id = models.BigAutoField(primary_key=True)
    consumer_group = models.CharField(max_length=100)
    member_id = models.TextField()
    #: The worker of this service; empty for a foreign member.
    worker = models.TextField()
    client_id = models.TextField()
    host = models.TextField()
    #: What a foreign member has: "topic/partition" each.
    partitions = models.JSONField()
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "messaging_group_member"
        constraints = [models.UniqueConstraint(fields=["consumer_group", "member_id"], name="group_member_once")]
        verbose_name = _("member of a consumer group")
        verbose_name_plural = _("members of consumer groups")

    def __str__(self) -> str:
        return f"{self.consumer_group} {self.member_id}"


class ParkedKey(models.Model):
    """A key whose first open event is retried later, or waits for an operator; the later events queue behind it.

    The queue consists of the inbox rows of the key that hold their record.
    """

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=249)
    key = models.TextField()
    consumer_group = models.CharField(max_length=100)
    partition = models.IntegerField()
    parked_at = models.DateTimeField(default=timezone.now)
    #: The crash mark: the event, the process that handles it, and how many processes died at that event.
    marked_event = models.TextField(null=True)
    marked_by = models.TextField(null=True)
    deaths = models.SmallIntegerField(default=0, db_default=0)
    #: When the retry looks at the key next (messaging.parking.due_times).
    look_at = models.DateTimeField(default=timezone.now, db_default=Now())

    class Meta:
        db_table = "messaging_parked_key"
        constraints = [models.UniqueConstraint(fields=["topic", "key"], name="parked_once")]
        indexes = [models.Index(fields=["topic", "look_at"], name="parked_due")]
        verbose_name = _("parked key")
        verbose_name_plural = _("parked keys")

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"


class DeadLetterRow(models.Model):
    """An event that could not be handled, with its whole record; the row stays after a retry or a skip."""

    id = models.BigAutoField(primary_key=True)
    event_id = models.CharField(max_length=255)
    handler = models.CharField(max_length=100)
    topic = models.CharField(max_length=249)
    partition = models.IntegerField()
    offset = models.BigIntegerField()
    key = models.TextField()
    type = models.CharField(max_length=200)
    reason = models.CharField(max_length=100)
    fingerprint = models.TextField(default="", db_default="")
    error = models.TextField(default="", db_default="")
    traceback = models.TextField(default="", db_default="")
    attempts = models.SmallIntegerField(default=1)
    #: The original record, packed; `edited` is the record as an operator changed it.
    raw = models.BinaryField()
    edited = models.BinaryField(null=True)
    at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=10, choices=Resolution, default="", db_default="", blank=True)

    class Meta:
        db_table = "messaging_dead_letter"
        constraints = [models.UniqueConstraint(fields=["event_id", "handler"], name="dead_once")]
        indexes = [
            models.Index(fields=["fingerprint"], name="dead_open", condition=models.Q(resolved_at__isnull=True)),
        ]
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        permissions = [
            ("retry_deadletter", "Can retry dead letters and parked events"),
            ("edit_deadletter", "Can edit dead letters and retry them"),
            ("skip_deadletter", "Can skip dead letters and parked events"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.handler} {self.reason}"

    @property
    def target(self) -> tuple[str, str]:
        """What an operator's action takes: the event at the handler."""
        return (self.event_id, self.handler)


class Pause(models.Model):
    """A handler or a topic that an operator, or the circuit breaker, has paused."""

    name = models.CharField(max_length=249, primary_key=True)
    reason = models.TextField()
    actor = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "messaging_pause"
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        permissions = [("pause_handler", "Can pause and resume handlers and topics")]

    def __str__(self) -> str:
        return self.name


class OperatorAction(models.Model):
    """What an operator did to events, keys and handlers: who, what, why, to which, with what result. Append-only."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=150)
    verb = models.CharField(max_length=30)
    reason = models.TextField()
    targets = models.JSONField()
    results = models.JSONField()

    class Meta:
        db_table = "messaging_operator_action"
        verbose_name = _("operator action on events")
        verbose_name_plural = _("operator actions on events")

    def __str__(self) -> str:
        return f"{self.verb} by {self.actor} at {self.at:%Y-%m-%d %H:%M}"


class ReplayRun(models.Model):
    """An executed replay: who, why, which range, and what it did."""

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=249)
    ranges = models.JSONField()
    actor = models.CharField(max_length=150)
    reason = models.TextField()
    result = models.JSONField(null=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "messaging_replay_run"
        verbose_name = _("replay")
        verbose_name_plural = _("replays")

    def __str__(self) -> str:
        return f"{self.topic} by {self.actor} at {self.started_at:%Y-%m-%d %H:%M}"

    def finish(self, outcome: Any) -> None:
        """Store what the replay did."""
        self.result = {name: dict(getattr(outcome, name)) for name in ("applied", "done", "refused", "passed_over")}
        self.finished_at = timezone.now()
        self.save(update_fields=["result", "finished_at"])
