"""@subscribe connects event types to a plain function with a stable name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from messaging.context import Context
from messaging.event import Event, current_type, family_of, spec_of

Replay = Literal["safe", "skip"]


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a handler is tried: `immediate` times at once, then, parked, `delayed` times with growing delays.

    None: the settings RETRY_IMMEDIATE and RETRY_DELAYED. `on` adds exceptions that count as transient; any other
    failure gets only the immediate attempts.
    """

    immediate: int | None = None
    delayed: int | None = None
    on: tuple[type[Exception], ...] = ()


@dataclass(frozen=True, eq=False)
class Handler:
    """A subscribed function and its policy."""

    name: str
    function: Callable[..., Any]
    types: tuple[str, ...]
    topics: tuple[str, ...]
    batch: bool
    group: str | None
    replay: Replay
    retries: Retry = field(default_factory=Retry)
    on_exhausted: Callable[[Any, Context], None] | None = None


#: Stands for the handler of a record that can't be decoded: nothing tells which handlers would want it.
NO_HANDLER = "-"

_HANDLERS: dict[str, Handler] = {}
_BY_TYPE: dict[str, list[Handler]] = {}


def subscribe(
    *events: type[Event],
    replay: Replay,
    batch: bool = False,
    group: str | None = None,
    name: str | None = None,
    retries: Retry | None = None,
    on_exhausted: Callable[[Any, Context], None] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Subscribe a function to event types.

    Single form: `handler(event, context)`. Batch form: `handler(deliveries)`, in key order and by offset within a key;
    it locks all its rows first, in id order. `replay` says whether an operator may have an event handled again.
    `on_exhausted(event, context)` gives the failure answer when no attempt is left. `group` is the consumer
    group, the service's first one by default. `name` is part of the inbox key: keep it when the function is renamed.

    ValueError when the name is taken.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        specs = [spec_of(each) for each in events]
        handler = Handler(
            name=name or f"{function.__module__.split('.')[0].removesuffix('_app')}.{function.__name__}",
            function=function,
            types=tuple(spec.type for spec in specs),
            topics=tuple(dict.fromkeys(spec.topic for spec in specs)),
            batch=batch,
            group=group,
            replay=replay,
            retries=retries or Retry(),
            on_exhausted=on_exhausted,
        )
        add(handler)
        return function

    return register


def add(handler: Handler) -> None:
    """Register a handler; ValueError when its name is taken."""
    if handler.name in _HANDLERS:
        raise ValueError(f"two handlers are called {handler.name}; give one of them name=")
    _HANDLERS[handler.name] = handler
    for type_name in handler.types:
        _BY_TYPE.setdefault(type_name, []).append(handler)


def remove(handler: Handler) -> None:
    """Forget a handler (tests)."""
    del _HANDLERS[handler.name]
    for type_name in handler.types:
        _BY_TYPE[type_name].remove(handler)


def all_handlers() -> list[Handler]:
    """Return the handlers of this service, in the order in which they subscribed."""
    return list(_HANDLERS.values())


def handler_names() -> list[str]:
    """Return NO_HANDLER and the names of all handlers, in the order in which they take an event."""
    return [NO_HANDLER, *_HANDLERS]


def handlers_of(type_name: str, topic: str, group: str, default_group: str) -> list[Handler]:
    """Return the handlers in `group` for a type, or for an older version of it, on its declared topic.

    An event is handled only on its declared topic: write access to one topic must not allow forging another service's
    events.
    """
    found = _BY_TYPE.get(current_type(type_name), ())
    return [handler for handler in found if topic in handler.topics and (handler.group or default_group) == group]


def is_unknown_version(type_name: str, topic: str, group: str, default_group: str) -> bool:
    """Return whether handlers in `group` subscribe to this type of event, but to other versions of it."""
    family = family_of(type_name)
    return any(
        topic in handler.topics
        and (handler.group or default_group) == group
        and family in {family_of(each) for each in handler.types}
        for handler in _HANDLERS.values()
    )


def handler_named(name: str) -> Handler:
    """Return the handler; KeyError when there is none of that name."""
    return _HANDLERS[name]
