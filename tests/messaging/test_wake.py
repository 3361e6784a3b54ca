"""The wake: once per transaction, after the commit, here or in another process; a hint that may be lost."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from messaging import publish
from messaging.database import own_connection
from messaging.outbox import notifier
from tests.messaging.sample.events import NoteAdded
from tests.messaging.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class LocalRelay:
    """Stands in for a relay in this process."""

    def __init__(self, *, serves_all: bool) -> None:
        self.serves_all = serves_all
        self.woken = 0

    def __call__(self) -> bool:
        self.woken += 1
        return self.serves_all


@pytest.fixture
def local_relay(monkeypatch) -> LocalRelay:
    relay = LocalRelay(serves_all=True)
    monkeypatch.setattr(notifier, "local_relay", relay)
    return relay


class Ear:
    """Listens for notifications on a connection of its own."""

    def __init__(self) -> None:
        self.connection = own_connection(application_name="ear")
        with self.connection.cursor() as cursor:
            cursor.execute(f"LISTEN {notifier.CHANNEL}")

    def heard(self, seconds: float = 5.0) -> int:
        """Return the number of notifications that came by the end of the first wait."""
        select.select([self.connection], [], [], seconds)
        self.connection.poll()
        count = len(self.connection.notifies)
        self.connection.notifies.clear()
        return count


@pytest.fixture
def ear() -> Iterator[Ear]:
    listening = Ear()
    yield listening
    listening.connection.close()


def publish_note(number: int = 1) -> None:
    publish(NoteAdded(key="wake", number=number))


class Refused(Exception):
    """Takes everything back."""


def test_the_wake_is_sent_once_per_transaction_and_only_after_the_commit(local_relay):
    with transaction.atomic():
        for number in range(3):
            publish_note(number)
        assert local_relay.woken == 0

    assert local_relay.woken == 1


def test_a_rolled_back_transaction_wakes_nobody(local_relay):
    with pytest.raises(Refused), transaction.atomic():
        publish_note()
        raise Refused

    assert local_relay.woken == 0


def test_an_event_after_a_rolled_back_savepoint_still_wakes(local_relay):
    with transaction.atomic():
        with contextlib.suppress(Refused), transaction.atomic():
            publish_note(1)
            raise Refused
        publish_note(2)

    assert local_relay.woken == 1


def test_an_event_before_a_rolled_back_savepoint_still_wakes(local_relay):
    with transaction.atomic():
        publish_note(1)
        with contextlib.suppress(Refused), transaction.atomic():
            publish_note(2)
            raise Refused

    assert local_relay.woken == 1


def test_a_relay_in_another_process_is_notified(ear):
    with transaction.atomic():
        publish_note()

    assert ear.heard() == 1


def test_other_processes_are_notified_too_while_the_local_relay_does_not_serve_everything(ear, monkeypatch):
    monkeypatch.setattr(notifier, "local_relay", LocalRelay(serves_all=False))

    with transaction.atomic():
        publish_note()

    assert ear.heard() == 1


def test_a_local_relay_that_serves_everything_needs_no_notification(ear, local_relay):
    with transaction.atomic():
        publish_note()

    assert ear.heard(0.3) == 0


def test_many_wakes_become_few_notifications(ear):
    for _ in range(2000):
        notifier.wake()
    time.sleep(0.2)

    assert 1 <= ear.heard() < 200


def test_the_notifier_gets_over_a_lost_connection(ear, monkeypatch):
    monkeypatch.setattr(notifier, "RECONNECT_SECONDS", 0.05)
    notifier.wake()
    assert ear.heard() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%:wake'")

    def heard() -> int:
        notifier.wake()
        return ear.heard(0.1)

    assert eventually(heard)


def test_a_closed_notifier_leaves_no_connection_and_the_next_wake_starts_another(ear):
    notifier.wake()
    assert ear.heard() == 1

    notifier.close()

    eventually(lambda: connections_named("sample:wake") == 0)
    notifier.wake()
    assert ear.heard() == 1


def connections_named(name: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()", [name]
        )
        return cursor.fetchone()[0]
