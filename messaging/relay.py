"""The relay: brings the outbox to Kafka (promises P2 and P4).

Order rests on three rules: a key's earliest row is sent first; at most one row of a key is of unknown fate per
producer, and a failed row stays of unknown fate until it is acknowledged; only what was acknowledged is deleted,
a round's rows in one statement. No transaction and no row lock is held across broker I/O.
"""

from __future__ import annotations

import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from messaging import wake
from messaging.conf import conf
from messaging.kafka_clients import idempotent_producer
from messaging.outbox import Envelope
from messaging.record import headers_out
from messaging.shards import ShardConnection

logger = logging.getLogger(__name__)

#: Seconds between two looks at who else relays; the same statement keeps the connection from being idle.
SHARE_SECONDS = 1.0
#: Longest and shortest wait before a key whose row failed is tried again, in seconds.
KEY_PAUSE_SECONDS, KEY_PAUSE_CAP_SECONDS = 0.2, 30.0
#: Pages read in one round to find enough different keys.
PAGES = 20

_PAGE = """
SELECT id, event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data
  FROM messaging_outbox
 WHERE shard = ANY(%s) AND id > %s
 ORDER BY id
 LIMIT %s
"""


class Relay:
    """Serves a share of the shards, run by one thread."""

    def __init__(self, make_producer: Callable[[], KafkaProducer] = idempotent_producer) -> None:
        self.progress = time.monotonic()
        self._make_producer = make_producer
        self._producer: KafkaProducer | None = None
        self._shards: ShardConnection | None = None
        self._shared = 0.0
        self._pause = 0.0
        self._stopping = threading.Event()
        self._failing: dict[tuple[str, str], tuple[float, float]] = {}
        self._ear, self._mouth = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._mouth, False)

    def stop(self) -> None:
        """Ask run() to end after the round in hand. May be called from any thread."""
        self._stopping.set()
        self._whistle()

    def woken(self) -> bool:
        """Wake this relay from its own process; True when it serves every shard, so that nobody else need be told."""
        self._whistle()
        shards = self._shards
        return shards is not None and len(shards.owned) == conf().shards

    def run(self) -> None:
        """Relay until stop() is called. An outage of the database or the broker is waited out."""
        wake.local_relay = self.woken
        try:
            while not self._stopping.is_set():
                self._round_or_rest()
        finally:
            wake.local_relay = None
            self._let_go()

    def _round_or_rest(self) -> None:
        try:
            if not self.round():
                self._wait()
            self._pause = 0.0
        except psycopg2.Error as error:
            self._rest(error)
            self._let_go()
        except KafkaError as error:
            self._rest(error)
            self._drop_producer()
        self.progress = time.monotonic()

    def _rest(self, error: Exception) -> None:
        """Wait after an outage, for less time than the connection may be idle."""
        cap = min(conf().outage_pause_cap_seconds, conf().relay_idle_seconds / 2)
        self._pause = min(max(self._pause * 2, conf().outage_pause_seconds), cap)
        logger.warning("relay: nothing is sent for %.1f s: %r", self._pause, error)
        self._stopping.wait(self._pause * random.uniform(0.5, 1))

    def round(self) -> bool:
        """Send each key's earliest row once and delete what was acknowledged. False when there was nothing to send."""
        shards = self._keep_shards()
        rows = self._pick(shards)
        if not rows:
            return False
        acknowledged = self._send(rows)
        if acknowledged:
            shards.execute("DELETE FROM messaging_outbox WHERE id = ANY(%s)", [acknowledged])
        return bool(acknowledged)

    def _keep_shards(self) -> ShardConnection:
        if self._shards is None:
            self._shards = ShardConnection()
            self._shared = 0.0
        if time.monotonic() - self._shared >= SHARE_SECONDS:
            self._shards.share()
            self._shared = time.monotonic()
        return self._shards

    def _pick(self, shards: ShardConnection) -> list[tuple[int, Envelope]]:
        """Return the earliest row of each key (every row of a topic that is not ordered), in id order.

        A page full of one key's rows must not hide the other keys: further pages are read until enough are found.
        """
        picked: list[tuple[int, Envelope]] = []
        seen = {key for key, (again_at, _) in self._failing.items() if time.monotonic() < again_at}
        last, size = 0, conf().relay_batch
        for _ in range(PAGES):
            page = shards.execute(_PAGE, [shards.owned, last, size])
            for row in page:
                place = (row[2], row[3])
                if place not in seen:
                    picked.append((row[0], _envelope(row)))
                    if row[2] not in conf().unordered_topics:
                        seen.add(place)
            if len(page) < size or len(picked) >= size // 2:
                break
            last = page[-1][0]
        return picked

    def _send(self, rows: list[tuple[int, Envelope]]) -> list[int]:
        """Produce the rows and wait for their fate; return the ids that were acknowledged."""
        if self._producer is None:
            self._producer = self._make_producer()
        sent = self._produce(self._producer, rows)
        self._await_acknowledgements(self._producer)
        failed = [envelope for _, envelope, future in sent if not future.succeeded()]
        self._note_failures([envelope for _, envelope, _ in sent], failed)
        return [row_id for row_id, _, future in sent if future.succeeded()]

    def _produce(self, producer: KafkaProducer, rows: list[tuple[int, Envelope]]) -> list[tuple[int, Envelope, Any]]:
        """Hand the rows to the producer, as many as it takes. KafkaError when it takes none."""
        sent: list[tuple[int, Envelope, Any]] = []
        for row_id, envelope in rows:
            try:
                sent.append((row_id, envelope, _hand_over(producer, envelope)))
            except KafkaTimeoutError as error:
                if not sent:
                    raise
                logger.warning("relay: the producer took %s of %s rows: %r", len(sent), len(rows), error)
                break
        return sent

    def _await_acknowledgements(self, producer: KafkaProducer) -> None:
        """Flush, touching the connection every second so that the locks are kept, until the stall bound."""
        until = time.monotonic() + conf().relay_stall_seconds
        while True:
            try:
                return producer.flush(timeout=SHARE_SECONDS)
            except KafkaTimeoutError as error:
                self._keep_shards().execute("SELECT 1")
                if time.monotonic() >= until:
                    logger.warning("relay: no acknowledgement for %.0f s: %r", conf().relay_stall_seconds, error)
                    return None

    def _note_failures(self, sent: list[Envelope], failed: list[Envelope]) -> None:
        """A failed row's fate is unknown: throw the producer away, and send its key again after a pause that grows."""
        places = {(envelope.topic, envelope.key) for envelope in failed}
        for envelope in sent:
            if (envelope.topic, envelope.key) not in places:
                self._failing.pop((envelope.topic, envelope.key), None)
        for place in places:
            pause = min(self._failing.get(place, (0, KEY_PAUSE_SECONDS / 2))[1] * 2, KEY_PAUSE_CAP_SECONDS)
            self._failing[place] = (time.monotonic() + pause, pause)
        if failed:
            logger.warning("relay: %s rows were not acknowledged and will be sent again", len(failed))
            self._drop_producer()

    def _wait(self) -> None:
        """Sleep until woken, here or by a notification, or until it is time to look without a wake."""
        shards = self._shards
        if shards is None:
            return
        timeout = min(conf().relay_poll_seconds, SHARE_SECONDS)
        select.select([shards.raw, self._ear], [], [], timeout)
        shards.raw.poll()
        shards.raw.notifies.clear()
        try:
            os.read(self._ear, 4096)
        except BlockingIOError:
            return

    def _whistle(self) -> None:
        try:
            os.write(self._mouth, b"!")
        except BlockingIOError:
            return

    def _let_go(self) -> None:
        """Give up the shards, then the producer: what it still sends, a successor sends too."""
        if self._shards is not None:
            self._shards.close()
            self._shards = None
        self._drop_producer()

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            abandon(producer)


def abandon(producer: KafkaProducer) -> None:
    """Throw a producer away by force: close() may return before its sender thread has stopped (kafka-python 3.0.12)."""
    producer._sender.force_close()
    try:
        producer.close(timeout=0)
    except KafkaError as error:
        logger.info("relay: the abandoned producer said %r", error)


def _hand_over(producer: KafkaProducer, envelope: Envelope) -> Any:
    return producer.send(
        envelope.topic,
        key=envelope.key.encode(),
        value=envelope.data,
        headers=headers_out(envelope),
        timestamp_ms=int(envelope.occurred_at.timestamp() * 1000),
    )


def _envelope(row: tuple[Any, ...]) -> Envelope:
    _, event_id, topic, key, type_name, occurred_at, correlation_id, causation_id, extra, data = row
    return Envelope(event_id, topic, key, type_name, occurred_at, correlation_id, causation_id, extra, bytes(data))

