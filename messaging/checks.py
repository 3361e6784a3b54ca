"""System checks: what must be so before a service starts."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import kafka
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from messaging.conf import conf
from messaging.kafka.patches import TRIED_VERSION, missing_parts
from messaging.registry import all_handlers
from messaging.retention.topic_check import MARGIN_DAYS
from messaging.session import role_problems


def register_all() -> None:
    """Register the checks with Django."""
    register(crc32c_is_installed)
    register(kafka_python_is_the_tried_version)
    register(kafka_python_has_its_private_parts)
    register(handlers_fit_topology)
    register(a_topic_has_one_group)
    register(inbox_outlives_topics)
    register(role_settings_fit, Tags.database)


def crc32c_is_installed(**_: Any) -> list[CheckMessage]:
    """Without the C extension, Kafka's clients take three to six times the CPU."""
    if importlib.util.find_spec("crc32c") is not None:
        return []
    return [
        Warning(
            "crc32c is not installed: kafka-python is slow without it",
            hint="pip install 'kafka-python[crc32c]'",
            id="messaging.W001",
        )
    ]


def kafka_python_is_the_tried_version(**_: Any) -> list[CheckMessage]:
    """The patches of messaging.kafka.patches lean on private parts, which another version may have changed."""
    if kafka.__version__ == TRIED_VERSION:
        return []
    return [
        Warning(
            f"kafka-python {kafka.__version__} is installed; messaging.kafka.patches was tried with {TRIED_VERSION}",
            hint=f"pip install kafka-python=={TRIED_VERSION}, or run tests/messaging and set TRIED_VERSION.",
            id="messaging.W002",
        )
    ]


def kafka_python_has_its_private_parts(**_: Any) -> list[CheckMessage]:
    """Without one of them, a worker would fail only when it comes to need it."""
    if not (missing := missing_parts()):
        return []
    return [
        Error(
            f"kafka-python {kafka.__version__} lacks what messaging.kafka.patches uses: {', '.join(missing)}",
            hint=f"pip install kafka-python=={TRIED_VERSION}",
            id="messaging.E004",
        )
    ]


def handlers_fit_topology(**_: Any) -> list[CheckMessage]:
    """Each handler's group exists and may read the topics of its events."""
    groups = conf().groups
    default = next(iter(groups), "")
    problems: list[CheckMessage] = []
    for handler in all_handlers():
        group = handler.group or default
        missing = [topic for topic in handler.topics if topic not in groups.get(group, ())]
        if missing:
            problems.append(
                Error(
                    f"handler {handler.name} subscribes to {', '.join(missing)}, which group {group!r} does not read",
                    hint="Add the topic to the group in config/topology.py.",
                    id="messaging.E001",
                )
            )
    return problems


def a_topic_has_one_group(**_: Any) -> list[CheckMessage]:
    """A parked key belongs to a topic, not to a group: two groups would wait for each other's failures."""
    readers: dict[str, list[str]] = {}
    for group, topics in conf().groups.items():
        for topic in topics:
            readers.setdefault(topic, []).append(group)
    return [
        Error(
            f"the topic {topic} is read by the groups {', '.join(groups)} of one service",
            hint="Let one group read it; its handlers all get the events.",
            id="messaging.E003",
        )
        for topic, groups in readers.items()
        if len(groups) > 1
    ]


def inbox_outlives_topics(**_: Any) -> list[CheckMessage]:
    """By the settings, the inbox must remember for longer than topics keep their records."""
    needed = conf().retention_days + conf().segment_days + MARGIN_DAYS
    remembered = conf().inbox_retention_days
    if not conf().groups or remembered == 0 or remembered >= needed:
        return []
    return [
        Error(
            f"the inbox forgets a handled event after {remembered} days (INBOX_RETENTION_DAYS), but topics may keep it"
            f" for {needed - MARGIN_DAYS} days (RETENTION_DAYS + SEGMENT_DAYS)",
            hint=f"Set INBOX_RETENTION_DAYS to {needed} or more, or to 0 (for ever).",
            id="messaging.E002",
        )
    ]


def role_settings_fit(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """The role's isolation level and time limits; our own sessions set what is wrong, other clients have it wrong.

    It asks the database, so it runs with `check --database default`, with `migrate`, and when a worker starts.
    """
    if "default" not in (databases or ()):
        return []
    return [Warning(problem.message, hint=problem.hint, id="messaging.W003") for problem in role_problems()]
