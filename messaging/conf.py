"""Every setting of the library: type, default, meaning. Read from Django's `MESSAGING`; an unknown key is an error."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from messaging.backoff import Backoff

#: Bytes that a record may have beyond its event.
ROOM_FOR_HEADERS = 100_000


@dataclass(frozen=True, kw_only=True)
class MessagingSettings:
    """The settings, in lower case; in Django's settings their names stand in upper case."""

    #: Name of the service: the prefix of its event types and handler names.
    service: str
    #: Kafka brokers, host:port.
    bootstrap_servers: list[str]
    #: The topics that this service owns and creates: name → {"compacted": bool}.
    topics: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Topics, also of other services, that keep the last record of each key: there a record without a value is a
    #: tombstone, which removes the key. The service's own ones need not be named again.
    compacted_topics: list[str] = field(default_factory=list)
    #: Consumer group → the topics that it may read. The first group is the default one.
    groups: dict[str, list[str]] = field(default_factory=dict)
    #: The service's database without its pooler, as in Django's DATABASES; empty when there is no pooler.
    direct_database: dict[str, Any] = field(default_factory=dict)
    #: Topics whose log itself defines the order: a row need not wait for an earlier row of the same key.
    unordered_topics: list[str] = field(default_factory=list)
    #: Partitions of a topic when it is created.
    partitions: int = 12
    #: Replicas of a topic when it is created.
    replication_factor: int = 3
    #: How long the records of a topic that is not compacted are kept, in days.
    retention_days: int = 30
    #: Longest time, in days, that such a topic writes one segment: its records may stay for so much longer.
    segment_days: int = 7
    #: How long a handled event is remembered, in days; longer than any consumed topic keeps it. 0: permanently.
    inbox_retention_days: int = 45
    #: Relay shards; rows carry crc32(key) % shards. Changed only by a migration on an empty outbox.
    shards: int = 8
    #: Rows in one round of the relay.
    relay_batch: int = 500
    #: Longest wait, in seconds, before the relay polls without a wake.
    relay_poll_seconds: float = 1.0
    #: Seconds without any acknowledgement, with rows in flight, after which the relay replaces its producer.
    relay_stall_seconds: float = 15.0
    #: Idle seconds after which PostgreSQL ends a relay's connection, and with it its locks.
    relay_idle_seconds: int = 10
    #: Largest event, in bytes of JSON; less than the broker's max.message.bytes by room for headers.
    max_event_bytes: int = 900_000
    #: Records in one batch, so in one transaction.
    max_poll_records: int = 500
    #: Longest wait in one poll, in milliseconds.
    poll_ms: int = 500
    #: Time without a heartbeat after which Kafka gives a worker's partitions to others, in milliseconds.
    session_timeout_ms: int = 10_000
    #: Longest time between two polls, in milliseconds.
    max_poll_interval_ms: int = 60_000
    #: Seconds without progress of a worker's consumer or relay after which the worker ends; more than a batch may take.
    hang_seconds: int = 120
    #: A file that a worker touches while its threads make progress; empty for none.
    liveness_file: str = ""
    #: Immediate attempts at an event; a failure that is not transient gets no others.
    retry_immediate: int = 3
    #: Delayed attempts at an event that fails for a transient reason; its key is parked meanwhile.
    retry_delayed: int = 8
    #: First delay between these attempts, in seconds; doubles, with jitter.
    retry_pause_seconds: float = 1.0
    #: Longest delay between these attempts, in seconds.
    retry_pause_cap_seconds: float = 60.0
    #: Consecutive events of different keys that fail by one fingerprint before the circuit breaker pauses the handler.
    fuse_events: int = 20
    #: Processes that die in a row at the same event before it becomes a dead letter.
    deaths_allowed: int = 5
    #: First delay after an outage, in seconds; doubles, with jitter.
    outage_pause_seconds: float = 0.5
    #: Longest delay after an outage, in seconds.
    outage_pause_cap_seconds: float = 10.0
    #: First delay before a stopped partition is tried again, in seconds; doubles.
    stopped_retry_seconds: float = 5.0
    #: Longest delay before a stopped partition is tried again, in seconds.
    stopped_retry_cap_seconds: float = 300.0

    @property
    def outage_backoff(self) -> Backoff:
        """Delays after an outage, in seconds."""
        return Backoff(self.outage_pause_seconds, self.outage_pause_cap_seconds)

    @property
    def retry_backoff(self) -> Backoff:
        """Delays between the attempts at a parked event, in seconds."""
        return Backoff(self.retry_pause_seconds, self.retry_pause_cap_seconds)

    @property
    def stopped_backoff(self) -> Backoff:
        """Delays before a stopped partition is looked at again, in seconds."""
        return Backoff(self.stopped_retry_seconds, self.stopped_retry_cap_seconds)

    @property
    def largest_record(self) -> int:
        """Most bytes that a record of our topics may have, headers included."""
        return self.max_event_bytes + ROOM_FOR_HEADERS


@cache
def conf() -> MessagingSettings:
    """Return the settings of this process; ImproperlyConfigured when a key is unknown or one is missing."""
    given = {name.lower(): value for name, value in settings.MESSAGING.items()}
    unknown = set(given) - {each.name for each in fields(MessagingSettings)}
    if unknown:
        raise ImproperlyConfigured(f"MESSAGING has unknown keys: {', '.join(sorted(unknown)).upper()}")
    try:
        return MessagingSettings(**given)
    except TypeError as error:
        raise ImproperlyConfigured(f"MESSAGING is not complete: {error}") from error


def default_group() -> str:
    """Return the service's first consumer group."""
    return next(iter(conf().groups), "")


def group_of(topic: str) -> str:
    """Return the consumer group of this service that reads a topic; '' when none does."""
    return next((group for group, topics in conf().groups.items() if topic in topics), "")


def is_compacted(topic: str) -> bool:
    """Return whether a topic keeps the last record of each key instead of a period of time."""
    return topic in conf().compacted_topics or bool(conf().topics.get(topic, {}).get("compacted"))


def dead_letter_topic() -> str:
    """Return the topic to which this service publishes its dead letters."""
    return f"{conf().service}.dead-letters"


def _forget(*, setting: str, **_: object) -> None:
    if setting == "MESSAGING":
        conf.cache_clear()


setting_changed.connect(_forget)
