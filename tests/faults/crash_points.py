"""Places in the code where a process can be made to die or to freeze. The product has no switches for this: a process
that was started by `tests.faults.start` has these functions wrapped, and looks whether a test has armed one of them.

A process is armed by a file with its name, and disarms itself by taking the file away before it acts.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import own_signal

#: Where the armed processes' files are, and the name of this one.
FOLDER, PROCESS = "FAULTS_FOLDER", "FAULTS_PROCESS"
CONSUMER_THREAD = "kafka-consumer"

BEFORE_COMMIT = "before commit"
AFTER_COMMIT = "after commit"
BEFORE_HANDLING = "before handling"
BEFORE_PRODUCE = "before produce"
AFTER_PRODUCE = "after produce"
BEFORE_DELETE = "before delete"
BEFORE_OFFSETS = "before the offset commit"
#: What each kind of process comes by.
OF_WEB = (BEFORE_COMMIT, AFTER_COMMIT)
OF_CONSUMER = (BEFORE_HANDLING, BEFORE_COMMIT, AFTER_COMMIT, BEFORE_OFFSETS)
OF_RELAY = (BEFORE_PRODUCE, AFTER_PRODUCE, BEFORE_DELETE)


def arm(folder: Path, process: str, point: str, signal_name: str = "SIGKILL") -> Path:
    """Let the process send itself the signal when it next comes by the point; return the file that is gone by then."""
    path = _file(folder, process)
    draft = path.with_suffix(".draft")
    draft.write_text(f"{signal_name} {point}")
    draft.replace(path)
    return path


def disarm(folder: Path, process: str) -> bool:
    """Take the order back; False when the process has come by already."""
    try:
        _file(folder, process).unlink()
    except FileNotFoundError:
        return False
    return True


def _file(folder: Path, process: str) -> Path:
    return folder / f"{process}.armed"


def reach(point: str) -> None:
    """Die or freeze here, if this process is armed for the point."""
    path = _file(Path(os.environ[FOLDER]), os.environ[PROCESS])
    try:
        signal_name, _, wanted = path.read_text().partition(" ")
        if wanted == point:
            path.unlink()
            own_signal.send(signal.Signals[signal_name])
    except FileNotFoundError:
        return


def install() -> None:
    """Wrap the functions that stand for the points; nothing happens without a folder to be armed by."""
    if FOLDER not in os.environ:
        return
    from django.db.backends.base.base import BaseDatabaseWrapper

    wrap(BaseDatabaseWrapper, "commit", before=_in_hand(BEFORE_COMMIT), after=_in_hand(AFTER_COMMIT))
    if "worker" in os.environ[PROCESS]:
        _install_in_worker()


def _install_in_worker() -> None:
    from messaging.consumer import loop
    from messaging.outbox import sender, shard_locks

    wrap(loop, "handle_batch", before=lambda *_: reach(BEFORE_HANDLING))
    wrap(loop.Consumer, "_commit_offsets", before=_if_anything_is_uncommitted)
    wrap(sender.Sender, "_send_together", before=_if_there_are_rows)
    wrap(sender.Sender, "_await", before=lambda *_: reach(AFTER_PRODUCE))
    wrap(shard_locks.ShardConnection, "execute", before=_if_it_deletes)


def _in_hand(point: str) -> Callable[..., None]:
    def in_hand(*_: Any) -> None:
        # In a worker the batch's commit is meant, not that of a timer.
        if "web" in os.environ[PROCESS] or threading.current_thread().name == CONSUMER_THREAD:
            reach(point)

    return in_hand


def _if_anything_is_uncommitted(consumer: Any, **_: Any) -> None:
    if consumer._commits.uncommitted:
        reach(BEFORE_OFFSETS)


def _if_there_are_rows(_: Any, rows: Any, *__: Any) -> None:
    if rows:
        reach(BEFORE_PRODUCE)


def _if_it_deletes(_: Any, statement: str, *__: Any) -> None:
    if statement.startswith("DELETE"):
        reach(BEFORE_DELETE)


def wrap(
    owner: Any, name: str, *, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None
) -> None:
    """Replace a function by itself with something before or after it, which is given the same arguments."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        if before:
            before(*arguments, **named)
        result = original(*arguments, **named)
        if after:
            after(*arguments, **named)
        return result

    setattr(owner, name, wrapped)
