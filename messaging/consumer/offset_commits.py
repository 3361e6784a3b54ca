"""Commits a consumer's offsets to Kafka, after the database. A failure loses nothing: our own position decides."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

#: Longest time between two commits while busy, in seconds; the position in our database decides. A commit after each
#: batch would cost too much: 1.2 ms of CPU each (6 partitions), up to 50 times a second in each service.
COMMIT_SECONDS = 0.2


class OffsetCommits:
    """What this consumer has handled and not yet committed to Kafka, and the commits that the broker refused."""

    def __init__(self) -> None:
        self.uncommitted: dict[TopicPartition, int] = {}
        self._refused: deque[dict[TopicPartition, OffsetAndMetadata]] = deque()
        self._committed_at = time.monotonic()

    def commit(self, client: KafkaConsumer, positions: Mapping[TopicPartition, int], *, now: bool = False) -> None:
        """Commit if it is time. `positions`: where the consumer is. `now`: at once, waiting for the answer."""
        self._retry_refused(positions)
        if not self.uncommitted or not (now or time.monotonic() - self._committed_at > COMMIT_SECONDS):
            return
        mine = client.assignment()
        offsets = {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in self.uncommitted.items() if tp in mine}
        self.uncommitted.clear()
        self._committed_at = time.monotonic()
        if offsets and now:
            client.commit(offsets, timeout_ms=2000)
        elif offsets:
            client.commit_async(offsets, callback=self._on_commit)

    def poll_ms(self, longest: int) -> int:
        """Return how long to poll, at most `longest`, so that an offset that waits for its commit is not late."""
        if not self.uncommitted:
            return longest
        left = COMMIT_SECONDS - (time.monotonic() - self._committed_at)
        return min(longest, max(0, int(1000 * left)) + 1)

    def _on_commit(self, offsets: dict[TopicPartition, OffsetAndMetadata], answer: Any) -> None:
        """Record a refused commit, to repeat it. May run on Kafka's I/O thread."""
        if isinstance(answer, Exception):
            self._refused.append(offsets)

    def _retry_refused(self, positions: Mapping[TopicPartition, int]) -> None:
        while self._refused:
            for tp, offset in self._refused.popleft().items():
                if positions.get(tp) == offset.offset:
                    self.uncommitted.setdefault(tp, offset.offset)
