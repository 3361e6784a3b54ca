"""The relay: brings the outbox to Kafka (promises P2 and P4).

Four rules keep the order. The relay sends a key's earliest row first. It reads all pages of a round in one snapshot. At
most one row of a key is in flight, and a row that failed counts as in flight until it is acknowledged. The relay
deletes only acknowledged rows, one statement a round. It holds no transaction and no row lock across broker I/O.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable

import psycopg2
from kafka import KafkaProducer
from kafka.errors import KafkaError

from messaging.backoff import Backoff, jittered
from messaging.conf import conf
from messaging.kafka.clients import idempotent_producer
from messaging.outbox import notifier
from messaging.outbox.pages import pick
from messaging.outbox.sender import Sender
from messaging.outbox.shard_locks import ShardConnection

logger = logging.getLogger(__name__)

#: Seconds between two counts of the live relays; the same statement keeps the connection from being idle.
SHARE_SECONDS = 1.0
#: Shortest time, in seconds, between the starts of two small rounds, so that consumers get larger batches. The first
#: row after an idle time never waits.
GATHER_SECONDS = 0.02

_NOTE_REFUSED = """
UPDATE messaging_outbox AS row SET refused = t.why FROM unnest(%s::bigint[], %s::text[]) AS t(id, why)
 WHERE row.id = t.id AND row.refused IS DISTINCT FROM t.why
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
        """Ask run() to end after the current round. Any thread may call this."""
        self._stopping.set()
        self._wake()

    def woken(self) -> bool:
        """Wake this relay from its own process; True when it serves every shard, so that no notification is needed."""
        self._wake()
        shards = self._shards
        return shards is not None and len(shards.owned) == conf().shards

    def run(self) -> None:
        """Relay until stop() is called. Wait for a database or a broker that is down."""
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
        """Wait after an outage, for less than the idle time after which the relay would lose its locks."""
        cap = min(conf().outage_pause_cap_seconds, conf().relay_idle_seconds / 4)
        self._delay = Backoff(conf().outage_pause_seconds, cap).after(self._delay)
        logger.warning("relay: outage, next try in %.1f s: %r", self._delay, error)
        self._stopping.wait(jittered(self._delay))

    def round(self) -> bool:
        """Send each key's earliest row once and delete what was acknowledged. False when nothing was."""
        self._stopping.wait(max(0.0, self._not_before - time.monotonic()))
        began = time.monotonic()
        shards = self._keep_shards()
        if not shards.may_send():
            self._sender.drop()  # the next producer asks again how many partitions a topic has
            return False
        rows = pick(shards, without=self._sender.keys.now(), without_topics=self._sender.topics.now())
        if not rows:
            return False
        acknowledged = self._sender.send(rows, touch=self._touch)
        if refused := self._sender.take_refused():
            shards.execute(_NOTE_REFUSED, [list(refused), list(refused.values())])
        if acknowledged:
            shards.execute("DELETE FROM messaging_outbox WHERE id = ANY(%s)", [acknowledged])
        self._not_before = began + GATHER_SECONDS if len(rows) < conf().relay_batch // 2 else 0.0
        return bool(acknowledged)

    def _touch(self) -> None:
        """Keep the connection, and with it the locks, from being idle while the relay waits for acknowledgements."""
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

    def _wait(self) -> None:
        """Sleep until a wake, a notification, or the poll interval ends."""
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
        """Release the shards, then drop the producer; a successor sends again what was in flight."""
        if self._shards is not None:
            self._shards.close()
            self._shards = None
        self._sender.drop()
