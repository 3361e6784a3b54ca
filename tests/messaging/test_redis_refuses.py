"""A Redis that answers but refuses to write harms no more than one that is gone: Kafka's work goes on."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest

from config.celery import app
from tests.messaging.redis import Redis, redis
from tests.messaging.rows import publish_notes
from tests.messaging.test_consumer import is_applied
from tests.messaging.waiting import eventually
from tests.messaging.worker import worker

pytestmark = pytest.mark.django_db(transaction=True)

REFUSALS = {"NOREPLICAS": Redis.miss_replicas, "READONLY": Redis.follow_nobody, "OOM": Redis.be_full}
#: A worker that the fault ends does so within two seconds.
SECONDS = 6


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    with redis() as server:
        yield server


@pytest.fixture
def start(tmp_path, group, reader, own_redis):
    """Start a worker in this test's own group, with this test's Redis."""
    return partial(worker, tmp_path / "output", group, environment={"CELERY_BROKER_URL": own_redis.url})


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_worker_goes_on_while_redis_refuses_writes_and_takes_tasks_after(start, own_redis, key, refusal):
    with start() as running:
        running.wait_ready()
        refusal(own_redis)
        publish_notes((key, 1))
        eventually(lambda: is_applied(key, 1))
        time.sleep(SECONDS)
        assert running.child.poll() is None, running.said
        assert running.said.count("Celery's broker failed") <= SECONDS

        refusal(own_redis, False)
        publish_notes((key, 2))
        eventually(lambda: is_applied(key, 2))
        own_redis.send_task(app, "messaging.clean_up")
        eventually(own_redis.has_no_task)
        assert running.end(signal.SIGTERM) == 0, running.said


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_worker_starts_works_and_stops_in_order_while_redis_refuses(start, own_redis, key, refusal):
    refusal(own_redis)
    with start() as running:
        publish_notes((key, 1))
        eventually(lambda: "Celery's broker failed" in running.said or running.child.poll() is not None)
        eventually(lambda: is_applied(key, 1) or running.child.poll() is not None)

        assert is_applied(key, 1), running.said
        assert running.end(signal.SIGTERM) == 0, running.said
