"""The sender: a producer, replaced when it stalls or a row fails, and the delays of what failed.

A failed row may still be in the log. It blocks its key and is sent again alone, so that it cannot fail other rows.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from messaging.backoff import Backoff, Delayed
from messaging.conf import conf
from messaging.error_kinds import described
from messaging.kafka.clients import idempotent_producer
from messaging.kafka.patches.private_calls import abandon
from messaging.kafka.topic_sizes import advice
from messaging.outbox.envelope import Envelope, record_out

logger = logging.getLogger(__name__)

#: Longest wait for acknowledgements before the relay's connection is touched, in seconds.
TOUCH_SECONDS = 1.0
#: Wait for the pieces of a batch that was split, in seconds.
SPLIT_SECONDS = 0.02
#: Delays of a key whose row failed, and of a topic that the broker does not know, in seconds.
KEY_BACKOFF = Backoff(0.2, 30.0)
TOPIC_BACKOFF = Backoff(0.5, 10.0)
#: The broker's answers to a record that is larger than its topic takes.
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

Row = tuple[int, Envelope]
Key = tuple[str, str]


class Sender:
    """Sends rows, at most one of a key in one call, and returns which were acknowledged."""

    def __init__(self, make_producer: Callable[[], KafkaProducer] = idempotent_producer) -> None:
        self.keys: Delayed[Key] = Delayed(KEY_BACKOFF)
        self.topics: Delayed[str] = Delayed(TOPIC_BACKOFF)
        self._refused: dict[int, str] = {}
        self._make_producer = make_producer
        self._producer: KafkaProducer | None = None

    def send(self, rows: Sequence[Row], touch: Callable[[], Any]) -> list[int]:
        """Produce the rows, wait until each succeeds or fails, and return the ids that were acknowledged.

        The sender calls `touch` every second. KafkaError when no producer can be built.
        """
        if self._producer is None:
            self._producer = self._build()
        rows, unknown = self._of_known_topics(self._producer, rows)
        suspects = sorted((row for row in rows if ordering_key(row) in self.keys), key=self._delay_of)
        acknowledged = self._send_together([row for row in rows if ordering_key(row) not in self.keys], touch)
        for row in suspects:
            acknowledged += self._send_together([row], touch)
        if unknown:
            self.drop()
        return acknowledged

    def take_refused(self) -> dict[int, str]:
        """Return why Kafka refused rows since the last call: row id → reason."""
        refused, self._refused = self._refused, {}
        return refused

    def drop(self) -> None:
        """Discard the producer. The next one sends again what was in flight."""
        producer, self._producer = self._producer, None
        if producer is not None:
            abandon(producer)

    def _delay_of(self, row: Row) -> float:
        """The row with the shortest delay comes first, since the first failure ends the round."""
        return self.keys.delay_of(ordering_key(row))

    def _build(self) -> KafkaProducer:
        try:
            return self._make_producer()
        except KafkaError:
            self.topics.clear()
            raise

    def _of_known_topics(self, producer: KafkaProducer, rows: Sequence[Row]) -> tuple[list[Row], set[str]]:
        """Leave out rows whose topic the broker does not know: send() would block on each of them."""
        topics = {envelope.topic for _, envelope in rows}
        unknown = {topic for topic in topics if not self._is_known(producer, topic)}
        self.topics.worked(topics - unknown)
        return [row for row in rows if row[1].topic not in unknown], unknown

    def _is_known(self, producer: KafkaProducer, topic: str) -> bool:
        try:
            return bool(producer.partitions_for(topic))
        except (KafkaError, ValueError) as error:
            self.topics.failed(topic)
            logger.error(
                "relay: cannot write to the topic %s (run create_topics if it is missing); its events wait: %r",
                topic,
                error,
            )
            return False

    def _send_together(self, rows: Sequence[Row], touch: Callable[[], Any]) -> list[int]:
        """Produce rows of different keys and wait. After a failure the producer is gone, and nothing more is sent."""
        if self._producer is None or not rows:
            return []
        futures = {row[0]: future for row in rows if (future := self._hand_over(self._producer, row)) is not None}
        self._await(self._producer, list(futures.values()), touch)
        succeeded = {row_id for row_id, future in futures.items() if future.succeeded()}
        failed = [row for row in rows if row[0] not in succeeded]
        self.keys.worked(ordering_key(row) for row in rows if row[0] in succeeded)
        for row in failed:
            self.keys.failed(ordering_key(row))
        if len(rows) == len(failed) == 1:  # of several in a batch, any may be the one that is too large
            self._note_size(failed[0], futures.get(failed[0][0]))
        if failed:
            logger.warning(
                "relay: %s of %s rows were not acknowledged; the relay sends them again", len(failed), len(rows)
            )
            self.drop()
        return list(succeeded)

    def _hand_over(self, producer: KafkaProducer, row: Row) -> Any:
        """Give a row to the producer and return its future, or None when the producer refuses it."""
        _, envelope = row
        try:
            key, value, headers = record_out(envelope)
            return producer.send(envelope.topic, key=key, value=value, headers=headers)
        except Exception as error:
            self._refuse(row, f"the relay cannot send it: {described(error)}")
            return None

    def _note_size(self, row: Row, future: Any) -> None:
        """Record a refusal that no repetition changes, only an operator: the topic takes no record of this size."""
        if future is not None and isinstance(future.exception, TOO_LARGE):
            topic, (key, value, headers) = row[1].topic, record_out(row[1])
            size = len(key or b"") + len(value or b"") + sum(len(name) + len(text or b"") for name, text in headers)
            self._refuse(
                row, f"{topic} takes no record of {size} bytes (max.message.bytes); to send it, {advice(topic)}"
            )

    def _refuse(self, row: Row, why: str) -> None:
        row_id, envelope = row
        self._refused[row_id] = why
        logger.error("relay: %s %s waits in the outbox, with its key: %s", envelope.type, envelope.event_id, why)

    def _await(self, producer: KafkaProducer, futures: Sequence[Any], touch: Callable[[], Any]) -> None:
        """Flush until every future is done, or until none became so for the stall bound.

        An interrupted flush() proves nothing: when the broker refuses a batch as too large, kafka-python splits it and
        flush() raises UnknownError while the parts are still in flight.
        """
        done, since = 0, time.monotonic()
        while time.monotonic() - since < conf().relay_stall_seconds:
            try:
                producer.flush(timeout=TOUCH_SECONDS)
            except KafkaError as error:
                logger.info("relay: still waiting for acknowledgements: %r", error)
            before, done = done, sum(future.is_done for future in futures)
            if done == len(futures):
                return
            if done > before:
                since = time.monotonic()
            touch()
            time.sleep(SPLIT_SECONDS)
        logger.warning(
            "relay: no acknowledgement for %.0f s; it sends the rows again with a new producer",
            conf().relay_stall_seconds,
        )


def ordering_key(row: Row) -> Key:
    """Return the topic and the key of a row: what orders it."""
    return (row[1].topic, row[1].key)
