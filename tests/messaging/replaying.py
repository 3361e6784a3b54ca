"""Running replay_topic as an operator does, on records that the live consumer has passed without handling them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import StringIO

from django.conf import settings
from django.core.management import call_command
from kafka import KafkaConsumer, TopicPartition

from messaging.event import Event
from messaging.inbox import positions
from messaging.models import ConsumerPosition, InboxRow, OutboxRow, ReplayRun
from tests.messaging.log import ends_of
from tests.messaging.producing import Writer
from tests.messaging.records import Record, record_of
from tests.messaging.sample.models import Applied
from tests.messaging.waiting import eventually

EXECUTE = ("--execute", "--reason", "a test")
ROW = re.compile(r"^(\S.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$", re.MULTILINE)


class Replayer:
    """Calls the command for partition 0 of the sample's topic; `said` is what it wrote last."""

    def __init__(self, group: str, reader: KafkaConsumer, write: Writer) -> None:
        self._group, self._reader, self._write = group, reader, write
        self.tp = TopicPartition(settings.SAMPLE_TOPIC, 0)
        self.place = f"{settings.SAMPLE_TOPIC}:0"
        self.start = ends_of(reader, settings.SAMPLE_TOPIC)[(settings.SAMPLE_TOPIC, 0)]
        self.said = ""

    def __call__(self, *options: str, place: str = "", start: str = "") -> dict[str, tuple[int, int, int]]:
        """Replay and return (applied, done, refused) by event type; CommandError as the command raises it."""
        out = StringIO()
        call_command("replay_topic", place or self.place, start or f"--from-offset={self.start}", *options, stdout=out)
        self.said = out.getvalue()
        return {name: (int(one), int(two), int(three)) for name, one, two, three, _ in ROW.findall(self.said)}

    def written(self, *items: Event | Record, partition: int = 0) -> None:
        """Write records that the live consumer has not reached."""
        records = [record_of(item) if isinstance(item, Event) else item for item in items]
        self._write.records(*records, partition=partition)

    def passed(self, *items: Event | Record, partition: int = 0) -> None:
        """Write records and move the live position behind them."""
        self.written(*items, partition=partition)
        positions.move(self._group, ends_of(self._reader, settings.SAMPLE_TOPIC))

    def wait_sent(self) -> None:
        """Wait until the relay has emptied the outbox."""
        eventually(lambda: not OutboxRow.objects.exists())


@dataclass(frozen=True)
class State:
    """Every row that a replay could write."""

    rows: tuple[tuple[str, tuple[object, ...]], ...]

    @classmethod
    def now(cls) -> State:
        tables = (Applied, ConsumerPosition, InboxRow, OutboxRow, ReplayRun)
        return cls(
            tuple((table.__name__, tuple(table._default_manager.order_by("pk").values_list())) for table in tables)
        )
