"""Compares how long the consumed topics keep records with how long the inbox remembers them.

An event that a topic keeps and the inbox has forgotten could be handled twice: by a replay, or after a position moved
back. So the inbox must remember for longer; otherwise the worker refuses to start.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping

from kafka.errors import KafkaError

from messaging.conf import conf
from messaging.errors import MessagingError
from messaging.kafka.topics import DAY_MS, configs_of
from messaging.registry import all_handlers

logger = logging.getLogger(__name__)

#: For a topic that keeps records a little longer than configured, clocks that differ, and a relay that resends.
MARGIN_DAYS = 1
#: Delay, in seconds, before the next question to a broker that did not answer, or about a topic that is missing.
AGAIN_SECONDS = 5.0


class InboxForgetsTooSoon(MessagingError):
    """The inbox would forget events that a consumed topic still keeps."""


def consumed_topics() -> set[str]:
    """Return the topics of all consumer groups of this service."""
    return {topic for topics in conf().groups.values() for topic in topics}


def reasons_to_refuse(kept: Mapping[str, float]) -> list[str]:
    """Return why the inbox forgets a topic too soon, for each such topic: name → days kept (math.inf: for ever)."""
    if conf().inbox_retention_days == 0:
        return []
    reasons = (_for_ever(topic) if days == math.inf else _too_short(topic, days) for topic, days in kept.items())
    return [reason for reason in reasons if reason]


def _too_short(topic: str, days: float) -> str:
    needed = math.ceil(days + MARGIN_DAYS)
    if conf().inbox_retention_days >= needed:
        return ""
    return (
        f"{_forgets()} but {topic} may keep its record for {days:g} days (retention.ms + segment.ms). Set"
        f" INBOX_RETENTION_DAYS to {needed} or more, or to 0 (for ever), or shorten the topic's retention"
    )


def _for_ever(topic: str) -> str:
    """Handlers with replay='safe' need no memory; for the others no number of days is enough."""
    unsafe = [each.name for each in all_handlers() if topic in each.topics and each.replay != "safe"]
    if not unsafe:
        return ""
    return (
        f"{_forgets()} but {topic} keeps its records for ever, and {', '.join(unsafe)} may not handle one again"
        " (replay='skip'). Set INBOX_RETENTION_DAYS to 0 (for ever), or give the topic a retention.ms"
    )


def _forgets() -> str:
    return f"the inbox forgets a handled event after {conf().inbox_retention_days} days (INBOX_RETENTION_DAYS),"


def kept_by_broker(topics: Iterable[str]) -> dict[str, float]:
    """Ask the broker for how many days each topic may keep a record; a topic that it does not know is left out.

    KafkaError when it can't be reached.
    """
    return {topic: _kept(configs) for topic, configs in configs_of(topics).items()}


def _kept(configs: Mapping[str, str]) -> float:
    """Kafka deletes a record with its segment, so after the retention of the segment's last record."""
    retention = int(configs["retention.ms"])
    if "delete" not in configs["cleanup.policy"] or retention < 0:
        return math.inf
    return (retention + int(configs["segment.ms"])) / DAY_MS


class RetentionCheck:
    """Asks the broker once about each consumed topic, as soon as it answers. One thread runs it, and then ends."""

    def __init__(self) -> None:
        self.progress = time.monotonic()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask run() to end. May be called from any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Return when every consumed topic was checked; wait for a broker that is down.

        InboxForgetsTooSoon says which topic, both values, and what to do.
        """
        missing = consumed_topics()
        while missing and not self._stopping.is_set():
            try:
                kept = kept_by_broker(missing)
            except KafkaError as error:
                logger.warning(
                    "the worker could not check the retention of %s yet; it tries again: %r",
                    ", ".join(sorted(missing)),
                    error,
                )
                kept = {}
            if reasons := reasons_to_refuse(kept):
                raise InboxForgetsTooSoon("; ".join(reasons))
            missing -= kept.keys()
            self.progress = time.monotonic()
            self._stopping.wait(AGAIN_SECONDS if missing else 0)
