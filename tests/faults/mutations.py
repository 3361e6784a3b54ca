"""The product with one of its rules left out, to see that the checker notices. Each is a patch of a process that
`tests.faults.start` starts; the product itself has no switch for any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

NO_INBOX = "without the inbox and the decision rows"
NO_COMPARISON = "without the comparison of positions"
OFFSETS_FIRST = "with offsets committed before the transaction"
SKIP_LOCKED = "with SKIP LOCKED in the relay"
ID_ALONE = "with events known by their id alone"
KEY_GOES_ON = "with parking that lets the key go on"


def without_inbox_and_decision_rows() -> None:
    """Whatever is delivered counts as new, and so does every order that the product service is asked about."""
    from batchsql import fetch
    from messaging.inbox import rows
    from product_app import sql

    insert_row, insert_decisions = rows.insert_new, sql.insert_decisions

    def everything_is_new(entries: Sequence[Any]) -> set[tuple[str, str]]:
        insert_row(entries)
        return {(entry.event_id, entry.handler) for entry in entries}

    def forget_and_insert(decisions: Mapping[Any, Any], now: Any) -> set[Any]:
        for table in ("product_app_stockhold", "product_app_stockdecision"):
            fetch(f"DELETE FROM {table} WHERE order_id = ANY(%s::uuid[]) RETURNING order_id", list(decisions))
        return insert_decisions(decisions, now)

    rows.insert_new = everything_is_new
    sql.insert_decisions = forget_and_insert


def without_comparison_of_positions() -> None:
    """The position is locked, and nobody looks whether it is still the one from which the batch was fetched."""
    from messaging.consumer.assignment import Assignment
    from messaging.inbox import positions

    def lock(group: str, batch: Iterable[positions.Fetched]) -> None:
        positions.lock(group, [fetched.place for fetched in batch])

    positions.lock_and_compare = lock
    Assignment.compare = lambda self: None  # type: ignore[method-assign]


def with_offsets_committed_first() -> None:
    """The position moves in a transaction of its own, before the batch is handled in another one."""
    from django.db import transaction

    from messaging.consumer import loop
    from messaging.inbox import positions

    handle, handle_one = loop.handle_batch, loop.handle_one
    move, compare = positions.move, positions.lock_and_compare

    def commit_position(group: str, batch: Sequence[positions.Fetched]) -> None:
        with transaction.atomic():
            compare(group, batch)
            move(group, {fetched.place: fetched.end for fetched in batch})

    def move_then_handle(group: str, batch: Sequence[positions.Fetched]) -> None:
        commit_position(group, batch)
        handle(group, batch)

    def move_then_handle_one(group: str, one: positions.Fetched, **named: Any) -> None:
        commit_position(group, [one])
        handle_one(group, one, **named)

    loop.handle_batch, loop.handle_one = move_then_handle, move_then_handle_one
    positions.lock_and_compare = lambda group, batch: None
    positions.move = lambda group, ends, epochs=None: None


def with_skip_locked_in_relay() -> None:
    """Every relay reads every row that no other one has locked, in a transaction that lasts until they are sent."""
    from messaging.conf import conf
    from messaging.outbox import pages, relay
    from messaging.outbox.shard_locks import ShardConnection

    plain_round = relay.Relay.round

    def own_all(self: Any) -> None:
        self.owned = list(range(conf().shards))

    def round_in_transaction(self: Any) -> bool:
        shards = self._keep_shards()
        shards.execute("BEGIN")
        shards.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        sent = plain_round(self)
        shards.execute("COMMIT")
        return sent

    ShardConnection.share = own_all  # type: ignore[method-assign]
    ShardConnection.snapshot = lambda self: nullcontext()  # type: ignore[method-assign, assignment, return-value]
    pages._PAGE = pages._PAGE.rstrip() + "\n FOR UPDATE SKIP LOCKED\n"
    relay.Relay.round = round_in_transaction  # type: ignore[method-assign]


def with_parking_that_lets_the_key_go_on() -> None:
    """An event that failed waits, and those behind it don't."""
    from messaging.consumer import batch, one_by_one

    batch.lock_parked = lambda keys: set()
    one_by_one.lock_parked = lambda keys: set()


def with_events_known_by_id_alone() -> None:
    """A second source's event with an id that is known counts as handled."""
    from messaging.inbox import identity, rows

    def insert_new(entries: Iterable[Any]) -> dict[Any, Any]:
        first: dict[tuple[str, str], Any] = {}
        for entry in entries:
            first.setdefault(entry.identity, entry)
        inserted = rows.insert_new(list(first.values()))
        return {entry: entry for entry in first.values() if entry.identity in inserted}

    identity.insert_new = insert_new


MUTATIONS: dict[str, Callable[[], None]] = {
    NO_INBOX: without_inbox_and_decision_rows,
    NO_COMPARISON: without_comparison_of_positions,
    OFFSETS_FIRST: with_offsets_committed_first,
    SKIP_LOCKED: with_skip_locked_in_relay,
    ID_ALONE: with_events_known_by_id_alone,
    KEY_GOES_ON: with_parking_that_lets_the_key_go_on,
}
