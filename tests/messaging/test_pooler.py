"""A PgBouncer that pools transactions: a worker refuses to start through it alone, and works with a direct address."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from messaging.consumer import key_lock
from messaging.database import PoolerInTheWay, check_sessions, session_lock
from messaging.models import OutboxRow
from messaging.worker.bootsteps import EXIT_REFUSED
from tests.messaging.parked import is_parked
from tests.messaging.pooler import pooler, server
from tests.messaging.producing import Writer
from tests.messaging.rows import publish_notes
from tests.messaging.sample.events import NoteAdded
from tests.messaging.test_consumer import applied, is_applied
from tests.messaging.waiting import eventually
from tests.messaging.worker import worker

pytestmark = pytest.mark.django_db(transaction=True)

#: A pooler that refuses what it does not know, and one that drops it silently.
REFUSES, DROPS = "extra_float_digits", "extra_float_digits,options"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PgBouncer's unprivileged user may enter."""
    made = Path(tempfile.mkdtemp(prefix="pooler-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(tmp_path, group, reader):
    """Start a worker in this test's own group."""
    return partial(worker, tmp_path / "output", group)


def test_the_database_itself_gives_sessions_of_our_own():
    check_sessions()


@pytest.mark.parametrize("ignored", [REFUSES, DROPS], ids=["refuses", "drops"])
def test_a_pooler_of_transactions_is_recognized(folder, settings, ignored):
    with pooler(folder, ignored=ignored) as port:
        settings.MESSAGING = {**settings.MESSAGING, "DIRECT_DATABASE": server() | {"PORT": port}}
        with pytest.raises(PoolerInTheWay, match="Set SAMPLE_DATABASE_DIRECT_URL to the address of PostgreSQL itself"):
            check_sessions()


@pytest.mark.parametrize("ignored", [REFUSES, DROPS], ids=["refuses", "drops"])
def test_a_worker_behind_a_pooler_alone_refuses_to_start(folder, start, key, ignored):
    publish_notes((key, 1))
    with pooler(folder, ignored=ignored) as port, start(database_port=port) as running:
        assert running.end() == EXIT_REFUSED, running.said

    assert "Set SAMPLE_DATABASE_DIRECT_URL" in running.said
    assert OutboxRow.objects.count() == 1


def test_a_worker_behind_a_pooler_works_with_a_direct_address(folder, start, write: Writer, key):
    with pooler(folder) as port, start(database_port=port, DIRECT_DATABASE=server(), RETRY_DELAYED=3) as running:
        write.events(NoteAdded(key=key, number=1), NoteAdded(key=f"{key}-parked", number=1, behaviour="transient once"))
        publish_notes((f"{key}-outbox", 1))
        eventually(lambda: is_applied(f"{key}-outbox", 1) or running.child.poll() is not None)
        eventually(lambda: is_applied(key, 1) or running.child.poll() is not None)

        assert running.child.poll() is None, running.said
        assert applied(key) == applied(key, "batch") == [1]
        eventually(lambda: OutboxRow.objects.count() == 0)
        assert not is_parked(key)


def test_behind_a_pooler_a_parked_keys_lock_has_a_session_of_its_own(settings):
    settings.MESSAGING = {**settings.MESSAGING, "DIRECT_DATABASE": server()}
    with session_lock(key_lock.LOCK_SPACE, "topic key") as ours, key_lock.key_lock("topic", "key") as theirs:
        assert (ours, theirs) == (True, False)
    with key_lock.key_lock("topic", "key") as free:
        assert free
