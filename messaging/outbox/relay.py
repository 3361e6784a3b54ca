"""The relay: brings the outbox to Kafka (promises P2 and P4).

Order rests on three rules: a key's earliest row is sent first; at most one row of a key is of unknown fate per
producer, and a failed row stays of unknown fate until it is acknowledged; only what was acknowledged is deleted,
a round's rows in one statement. No transaction and no row lock is held across broker I/O.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg2
from kafka import KafkaProducer
from kafka.errors import KafkaError

from messaging.backoff import Backoff, jittered
from messaging.conf import conf
from messaging.kafka.clients import idempotent_producer
from messaging.outbox import notifier
from messaging.outbox.envelope import Envelope
from messaging.outbox.sender import Row, Sender, ordering_key
from messaging.outbox.shard_locks import ShardConnection

logger = logging.getLogger(__name__)

#: Seconds between two looks at who else relays; the same statement keeps the connection from being idle.
SHARE_SECONDS = 1.0
#: Shortest time between the beginnings of two small rounds: what gathers meanwhile goes in one, and everything behind
#: the broker works in larger batches. The first row after a rest never waits.
GATHER_SECONDS = 0.02
#: Pages read in one round to find enough different keys.
PAGES = 20

#: What fails, and what the round has already, is left out here: many rows of one key must not hide the other keys.
_PAGE = """
SELECT id, event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, raw
  FROM messaging_outbox
 WHERE shard = ANY(%s) AND id > %s AND topic <> ALL(%s::text[])
   AND (topic, key) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
 ORDER BY id
 LIMIT %s
"""


class Relay:
    """Serves a share of the shards, run by one thread."""

    def __init__(self, make_producer: Callable[[], KafkaProducer] = idempotent_producer) -> None:
        self.progress = time.monotonic()
        self._sender = Sender(make_producer)
        self._shards: ShardConnection | None = None
        self._shared = 0.0
        self._delay = 0.0
        self._not_before = 0.0
        self._stopping = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def stop(self) -> None:
        """Ask run() to end after the round in hand. May be called from any thread."""
        self._stopping.set()
        self._wake()

    def woken(self) -> bool:
        """Wake this relay from its own process; True when it serves every shard, so that nobody else need be told."""
        self._wake()
        shards = self._shards
        return shards is not None and len(shards.owned) == conf().shards

    def run(self) -> None:
        """Relay until stop() is called. An outage of the database or the broker is waited out."""
        notifier.local_relay = self.woken
        try:
            while not self._stopping.is_set():
                self._round_or_rest()
        finally:
            notifier.local_relay = None
            self._release()

    def _round_or_rest(self) -> None:
        try:
            if not self.round():
                self._wait()
            self._delay = 0.0
        except psycopg2.Error as error:
            self._release()
            self._rest(error)
        except KafkaError as error:
            self._sender.drop()
            self._rest(error)
        self.progress = time.monotonic()

    def _rest(self, error: Exception) -> None:
        """Wait after an outage, so briefly that building a producer and the wait together do not cost the locks."""
        cap = min(conf().outage_pause_cap_seconds, conf().relay_idle_seconds / 4)
        self._delay = Backoff(conf().outage_pause_seconds, cap).after(self._delay)
        logger.warning("relay: nothing is sent for %.1f s: %r", self._delay, error)
        self._stopping.wait(jittered(self._delay))

    def round(self) -> bool:
        """Send each key's earliest row once and delete what was acknowledged. False when nothing was."""
        self._stopping.wait(max(0.0, self._not_before - time.monotonic()))
        began = time.monotonic()
        shards = self._keep_shards()
        if not shards.may_send():
            self._sender.drop()  # the next one learns anew how many partitions a topic has
            return False
        rows = self._pick(shards)
        if not rows:
            return False
        acknowledged = self._sender.send(rows, touch=self._touch)
        if acknowledged:
            shards.execute("DELETE FROM messaging_outbox WHERE id = ANY(%s)", [acknowledged])
        self._not_before = began + GATHER_SECONDS if len(rows) < conf().relay_batch // 2 else 0.0
        return bool(acknowledged)

    def _touch(self) -> None:
        """Keep the connection from being idle, and the locks with it, while acknowledgements are awaited."""
        self._keep_shards().execute("SELECT 1")
        self.progress = time.monotonic()

    def _keep_shards(self) -> ShardConnection:
        if self._shards is None:
            self._shards = ShardConnection()
            self._shared = 0.0
        if time.monotonic() - self._shared >= SHARE_SECONDS:
            self._shards.share()
            self._shared = time.monotonic()
        return self._shards

    def _pick(self, shards: ShardConnection) -> list[Row]:
        """Return the earliest row of each key (every row of a topic that is not ordered), in id order."""
        picked: list[Row] = []
        out = set(self._sender.keys.now())
        topics, last, size = self._sender.topics.now(), 0, conf().relay_batch
        for _ in range(PAGES):
            without = [[topic for topic, _ in out], [key for _, key in out]]
            page = shards.execute(_PAGE, [shards.owned, last, topics, *without, size])
            for values in page:
                row = (values[0], _envelope(values))
                if ordering_key(row) not in out:
                    picked.append(row)
                    if row[1].topic not in conf().unordered_topics:
                        out.add(ordering_key(row))
            if len(page) < size or len(picked) >= size // 2:
                break
            last = page[-1][0]
        return picked

    def _wait(self) -> None:
        """Sleep until woken, here or by a notification, or until it is time to look without a wake."""
        shards = self._shards
        if shards is None:
            return
        poll = select.poll()
        poll.register(shards.raw, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        poll.poll(1000 * min(conf().relay_poll_seconds, SHARE_SECONDS))
        shards.raw.poll()
        shards.raw.notifies.clear()
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            return

    def _release(self) -> None:
        """Give up the shards, then the producer: what it still sends, a successor sends too."""
        if self._shards is not None:
            self._shards.close()
            self._shards = None
        self._sender.drop()


def _envelope(row: tuple[Any, ...]) -> Envelope:
    _, event_id, topic, key, kind, occurred_at, correlation_id, causation_id, extra, data, raw = row
    whole = None if raw is None else bytes(raw)
    return Envelope(event_id, topic, key, kind, occurred_at, correlation_id, causation_id, extra, bytes(data), whole)
