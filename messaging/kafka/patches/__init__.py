"""What leans on private parts of kafka-python; a system check warns when another version is installed.

`lenient_headers` and `unreadable_batches` replace a method each; `private_calls` calls private methods.
"""

from __future__ import annotations

import inspect
import operator
from importlib import import_module
from typing import Any

#: The version of kafka-python with which the tests of these modules pass.
TRIED_VERSION = "3.0.12"

#: What these modules use of kafka-python beyond its documented interface: class → names. A system check looks for each.
PRIVATE_PARTS = {
    "kafka.consumer.group:KafkaConsumer": ("_coordinator", "_cluster", "_fetcher", "_manager", "_subscription"),
    "kafka.consumer.fetcher:Fetcher": ("_isolation_level",),
    "kafka.cluster:ClusterMetadata": ("topic_id",),
    "kafka.coordinator.consumer:ConsumerCoordinator": (
        *("rejoining", "rejoin_needed", "request_rejoin", "fetch_committed_offsets"),
        *("coordinator_id", "group_metadata"),
    ),
    "kafka.producer.kafka:KafkaProducer": ("_sender",),
    "kafka.producer.sender:Sender": ("force_close", "join"),
    "kafka.admin.client:KafkaAdminClient": ("_manager",),
    "kafka.net.manager:KafkaConnectionManager": ("cluster", "run", "send", "wait_for"),
    "kafka.net.compat:KafkaNetClient": ("close",),
    "kafka.record.default_records:DefaultRecordBatch": ("_read_msg", "_buffer"),
    "kafka.consumer.fetcher:Fetcher.PartitionRecords": ("take", "drain", "next_fetch_offset", "topic_partition"),
}


def missing_parts() -> list[str]:
    """Return which of the private parts the installed kafka-python does not have."""
    return [f"{path}.{name}" for path, names in PRIVATE_PARTS.items() for name in names if not _has(path, name)]


def _has(path: str, name: str) -> bool:
    """Return whether the class has the attribute, or sets it in its __init__."""
    module, _, attribute = path.partition(":")
    try:
        owner: Any = operator.attrgetter(attribute)(import_module(module))
    except (ImportError, AttributeError):
        return False
    made = {used for base in inspect.getmro(owner) for used in _names_in_init(base)}
    return hasattr(owner, name) or name in made


def _names_in_init(base: type) -> tuple[str, ...]:
    code = getattr(base.__dict__.get("__init__"), "__code__", None)
    return () if code is None else code.co_names
