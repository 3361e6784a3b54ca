"""How long the consumed topics keep their records, against how long the inbox remembers them.

What the inbox has forgotten and a topic still keeps could be handled a second time: by a replay, or where a position
was set back. So the inbox must remember for longer, and a worker whose inbox does not refuses to work.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from messaging.conf import conf
from messaging.errors import MessagingError
from messaging.kafka.clients import admin
from messaging.kafka.topics import DAY_MS
from messaging.registry import all_handlers

logger = logging.getLogger(__name__)

#: For what a topic keeps a little longer than it says, for clocks that differ, and for a relay that sends again.
MARGIN_DAYS = 1
#: Pause before a broker that did not answer, or a topic that is not there yet, is asked (about) again, in seconds.
AGAIN_SECONDS = 5.0


class InboxForgetsTooSoon(MessagingError):
    """The inbox would forget events that a consumed topic still keeps."""


def consumed_topics() -> set[str]:
    """Return the topics of all consumer groups of this service."""
    return {topic for topics in conf().groups.values() for topic in topics}


def reasons_to_refuse(kept: Mapping[str, float]) -> list[str]:
    """Say of each topic, kept for so many days (math.inf: for ever), why the inbox forgets it too soon, if it does."""
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
    """What may be handled again at any time needs no memory; for anything else no number of days is enough."""
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
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in sorted(topics)]
    with admin() as client:
        found = client.describe_configs(resources, config_filter="all").get("topic", {})
    return {topic: _kept(configs) for topic, configs in found.items() if configs}


def _kept(configs: Mapping[str, Any]) -> float:
    """A record goes with its segment, so after the retention of the segment's last record."""
    value = {name: entry["value"] for name, entry in configs.items()}
    retention = int(value["retention.ms"])
    if "delete" not in value["cleanup.policy"] or retention < 0:
        return math.inf
    return (retention + int(value["segment.ms"])) / DAY_MS


class RetentionCheck:
    """Asks the broker as soon as it answers, once about each consumed topic; run by one thread, which then ends."""

    def __init__(self) -> None:
        self.progress = time.monotonic()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask run() to end. May be called from any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Return when every consumed topic was looked at; a broker that is away is waited for.

        InboxForgetsTooSoon says which topic, both values, and what to do.
        """
        missing = consumed_topics()
        while missing and not self._stopping.is_set():
            try:
                kept = kept_by_broker(missing)
            except KafkaError as error:
                logger.warning("the retention of %s could not be checked yet: %r", ", ".join(sorted(missing)), error)
                kept = {}
            if reasons := reasons_to_refuse(kept):
                raise InboxForgetsTooSoon("; ".join(reasons))
            missing -= kept.keys()
            self.progress = time.monotonic()
            self._stopping.wait(AGAIN_SECONDS if missing else 0)
