"""Whether the service's topics take every event that publish() accepts: somebody may lower max.message.bytes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from kafka.errors import KafkaError

from messaging.conf import conf
from messaging.kafka.topics import configs_of, largest_record_of

logger = logging.getLogger(__name__)

#: Delay, in seconds, before the next question to a broker that did not answer.
AGAIN_SECONDS = 5.0


def advice(topic: str) -> str:
    """Return how to let the topic take every event of this service."""
    return (
        f"raise it: kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics --entity-name {topic}"
        f" --add-config max.message.bytes={largest_record_of(topic)}"
    )


def too_small(topics: Iterable[str]) -> list[str]:
    """Ask the broker, and return a sentence for each topic that refuses large events. KafkaError without an answer."""
    taken = {topic: int(configs["max.message.bytes"]) for topic, configs in configs_of(topics).items()}
    return [
        f"the topic {topic} takes records of at most {most} bytes (max.message.bytes), but events of this service may"
        f" have {largest_record_of(topic)}: a larger one would wait in the outbox, with its key; {advice(topic)}"
        for topic, most in taken.items()
        if most < largest_record_of(topic)
    ]


class SizeCheck:
    """Asks the broker once about the service's topics, as soon as it answers. One thread runs it, and then ends."""

    def __init__(self) -> None:
        self.progress = time.monotonic()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask run() to end. Any thread may call this."""
        self._stopping.set()

    def run(self) -> None:
        """Log an error for each topic that is too small; the worker goes on, since most events fit."""
        while not self._stopping.is_set():
            try:
                for problem in too_small(conf().topics):
                    logger.error("%s", problem)
                return
            except KafkaError as error:
                logger.warning("the worker could not check max.message.bytes yet; it tries again: %r", error)
            self.progress = time.monotonic()
            self._stopping.wait(AGAIN_SECONDS)
