"""Places where a process under test stops itself: the library has no switches for this, so a test's process wraps them.

`set_up(name)` before the relay or the consumer runs. Each works once per process.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from messaging.consumer import batch, loop
from messaging.inbox import positions
from messaging.outbox import sender, shard_locks
from tests import own_signal


def set_up(name: str) -> None:
    """Wrap the function that `name` stands for; KeyError when there is no such failpoint."""
    FAILPOINTS[name]()


def _kill() -> None:
    own_signal.send(signal.SIGKILL)


def _freeze() -> None:
    own_signal.send(signal.SIGSTOP)


def _wrap(
    owner: Any, name: str, *, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None
) -> None:
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        setattr(owner, name, original)
        if before:
            before()
        result = original(*arguments, **named)
        if after:
            after()
        return result

    setattr(owner, name, wrapped)


def _before_delete(act: Callable[[], None]) -> None:
    original = shard_locks.ShardConnection.execute

    def execute(self: Any, sql: str, parameters: Any = None) -> Any:
        if sql.startswith("DELETE"):
            shard_locks.ShardConnection.execute = original  # type: ignore[method-assign]
            act()
        return original(self, sql, parameters)

    shard_locks.ShardConnection.execute = execute  # type: ignore[method-assign]


def _kill_in_handler() -> None:
    from tests.messaging.sample import handlers

    handlers.behaviours["kill"] = lambda event, context: _kill()


def _freeze_in_handler() -> None:
    from tests.messaging.sample import handlers

    def freeze_once(event: Any, context: Any) -> None:
        handlers.behaviours["freeze"] = lambda event, context: None
        _freeze()

    handlers.behaviours["freeze"] = freeze_once


FAILPOINTS: dict[str, Callable[[], None]] = {
    # The consumer has done everything in its transaction, which is still open.
    "kill before commit": lambda: _wrap(positions, "move", after=_kill),
    "freeze before commit": lambda: _wrap(positions, "move", after=_freeze),
    # The database has the batch; Kafka's own offset is behind it.
    "kill after commit": lambda: _wrap(loop.Consumer, "_done", before=_kill),
    # A note with the behaviour "kill" kills the process that handles it.
    "kill in handler": _kill_in_handler,
    # The first note with the behaviour "freeze" freezes the process within its transaction.
    "freeze in handler": _freeze_in_handler,
    # The records are acknowledged; the rows are still there.
    "kill before delete": lambda: _before_delete(_kill),
    "freeze before delete": lambda: _before_delete(_freeze),
    # The relay has read the rows and believes that it owns their shards.
    "freeze before send": lambda: _wrap(sender.Sender, "send", before=_freeze),
    # The consumer has fetched a batch and believes that it owns the partitions.
    "freeze before handling": lambda: _wrap(batch, "read_all", before=_freeze),
}
