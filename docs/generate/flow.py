"""The page of topics and events: who publishes, who consumes with which handler."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from config.topology import SERVICES, TOPICS, Service
from docs.generate.markdown import code, codes, first_paragraph, mermaid, page, section, table
from docs.generate.services import Described
from messaging.event import EventSpec, all_specs

for _service in SERVICES:
    import_module(f"contracts.{_service}")


def flow_page(described: Described) -> str:
    """Return docs/reference/flow.md."""
    return page(
        "Topics, events and handlers",
        "Read from `config/topology.py`, `contracts/` and the handlers of each service.",
        section("Overview", _overview(described)),
        section("Topics", _topics_table()),
        section("Events", _events_table(described)),
        section("Handlers", *(_handlers(service, described) for service in SERVICES)),
        section("Timers", _timers(described)),
    )


def published_by(service: str) -> list[EventSpec]:
    """Return the events that a service publishes, in the order of declaration."""
    return [spec for spec in all_specs() if spec.cls.__module__ == f"contracts.{service}"]


def publishes_table(service: str) -> str:
    """Return what a service publishes."""
    rows = [
        (code(spec.type), code(spec.topic), code(spec.key), first_paragraph(spec.cls.__doc__))
        for spec in published_by(service)
    ]
    return table(("event", "topic", "key", "meaning"), rows)


def subscribes_table(service: str, described: Described) -> str:
    """Return the handlers of a service."""
    return table(
        ("handler", "events", "consumer group", "form", "replay", "on_exhausted"),
        [_handler_row(handler) for handler in described[service]["handlers"]],
    )


def _handler_row(handler: dict[str, Any]) -> tuple[str, ...]:
    names = [type_name.split(".")[1] for type_name in handler["types"]]
    form = "batch" if handler["batch"] else "single"
    exhausted = code(handler["on_exhausted"]) if handler["on_exhausted"] else "–"
    return code(handler["name"]), ", ".join(names), code(handler["group"]), form, handler["replay"], exhausted


def _handlers(service: str, described: Described) -> str:
    return section(service, subscribes_table(service, described), level=3)


def _topics_table() -> str:
    rows = [
        (code(topic.name), service.name, topic.key, "compacted" if topic.compacted else "deleted with age")
        for service in SERVICES.values()
        for topic in service.topics
    ]
    return table(("topic", "owner", "key", "clean-up"), rows)


def _events_table(described: Described) -> str:
    rows = [
        (code(spec.type), code(spec.topic), service, codes(_consumers(spec.type, described)))
        for service in SERVICES
        for spec in published_by(service)
    ]
    return table(("event", "topic", "published by", "handled by"), rows)


def _consumers(type_name: str, described: Described) -> list[str]:
    return [
        handler["name"]
        for description in described.values()
        for handler in description["handlers"]
        if type_name in handler["types"]
    ]


def _overview(described: Described) -> str:
    lines = ["flowchart LR"]
    for service in SERVICES.values():
        lines.append(f"    {service.name}[{service.name} service]")
        lines += [f"    {service.name} --> {_node(topic)}" for topic in _used_topics(service, described)]
    lines += [f"    {_node(topic)} --> {name}" for name in SERVICES for topic in _consumed(name, described)]
    return mermaid(lines)


def _used_topics(service: Service, described: Described) -> list[str]:
    return list(dict.fromkeys(spec.topic for spec in published_by(service.name)))


def _consumed(service: str, described: Described) -> list[str]:
    topics = {spec.type: spec.topic for spec in all_specs()}
    types = [type_name for handler in described[service]["handlers"] for type_name in handler["types"]]
    return [topic for topic in TOPICS if topic in {topics[each] for each in types}]


def _node(topic: str) -> str:
    return f"{topic.replace('.', '_').replace('-', '_')}([{topic}])"


def _timers(described: Described) -> str:
    timers = {service: description["timers"] for service, description in described.items()}
    shared = [timer for timer in next(iter(timers.values())) if all(timer in each for each in timers.values())]
    own = [(service, timer) for service, each in timers.items() for timer in each if timer not in shared]
    rows = [*(("every service", timer) for timer in shared), *own]
    return table(("service", "task", "when"), [(who, code(timer["name"]), timer["every"]) for who, timer in rows])
