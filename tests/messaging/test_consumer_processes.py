"""Consumers in processes of their own, killed and frozen at the worst moments: nothing is lost, nothing doubled."""

from __future__ import annotations

import pytest

from messaging.models import OutboxRow
from tests.messaging.conftest import consumer_of
from tests.messaging.patience import SOON_MISSED
from tests.messaging.process import process
from tests.messaging.test_consumer import applied, is_applied, notes
from tests.messaging.threads import running
from tests.messaging.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("impatient_broker")]

COUNT = 20


def assert_once_and_in_order(key: str) -> None:
    eventually(lambda: is_applied(key, COUNT), 30)
    assert applied(key) == applied(key, "batch") == list(range(COUNT))
    assert OutboxRow.objects.count() == COUNT


@pytest.mark.parametrize("moment", ["kill before commit", "kill after commit"])
def test_a_consumer_that_is_killed_neither_loses_nor_doubles_an_event(write, group, key, moment):
    write.events(*notes(key, COUNT))
    with process("consumer", moment, group=group, **SOON_MISSED) as killed:
        killed.wait_killed()
    assert len(applied(key)) < COUNT or moment == "kill after commit"

    with running(consumer_of(group)):
        assert_once_and_in_order(key)


def test_a_frozen_consumer_that_wakes_after_another_took_its_partitions_changes_nothing(write, group, key):
    write.events(*notes(key, COUNT))
    with process("consumer", "freeze before handling", group=group, **SOON_MISSED) as frozen:
        eventually(frozen.is_frozen)
        with running(consumer_of(group)):
            eventually(lambda: is_applied(key, COUNT), 30)
            frozen.wake()
            write.events(*notes(f"{key}-more", COUNT))
            eventually(lambda: is_applied(f"{key}-more", COUNT), 30)

    assert applied(key) == applied(key, "batch") == list(range(COUNT))
    assert OutboxRow.objects.count() == 2 * COUNT
