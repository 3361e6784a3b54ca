"""A worker whose inbox would forget what a consumed topic still keeps refuses to work, and says what to do."""

from __future__ import annotations

import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.conf import settings as django_settings
from kafka.errors import KafkaError

from messaging import registry
from messaging.checks import inbox_outlives_topics
from messaging.kafka.topics import DAY_MS
from messaging.retention.topic_check import InboxForgetsTooSoon, RetentionCheck, kept_by_broker, reasons_to_refuse
from messaging.worker.bootsteps import EXIT_REFUSED
from tests.messaging.threads import at_once
from tests.messaging.topics import create_topic
from tests.messaging.waiting import eventually
from tests.messaging.worker import worker


@pytest.fixture
def configure(settings):
    """Change keys of MESSAGING for a test."""

    def change(**keys):
        settings.MESSAGING = {**settings.MESSAGING, **keys}

    return change


@pytest.fixture
def topic(configure) -> str:
    """A name for a topic, the only one that is consumed."""
    name = f"sample.kept-{uuid.uuid4()}"
    configure(GROUPS={"sample": [name]}, INBOX_RETENTION_DAYS=45)
    return name


@pytest.fixture
def handles(topic):
    """Let one handler subscribe to the topic, safe to be replayed or not."""
    added = []

    def subscribe(replay):
        added.append(registry.Handler("sample.on_kept", print, ("sample.Kept.v1",), (topic,), False, None, replay))
        registry.add(added[0])

    yield subscribe
    for handler in added:
        registry.remove(handler)


def days(retention: float, segment: float = 7, policy: str = "delete") -> dict[str, str]:
    """Return the configuration of a topic that keeps its records for so many days."""
    return {
        "retention.ms": str(int(retention * DAY_MS) if retention >= 0 else -1),
        "segment.ms": str(int(segment * DAY_MS)),
        "cleanup.policy": policy,
    }


@pytest.mark.parametrize(("remembered", "found"), [(37, ["messaging.E002"]), (38, []), (45, []), (0, [])])
def test_the_settings_alone_tell_an_inbox_that_forgets_too_soon(configure, remembered, found):
    configure(INBOX_RETENTION_DAYS=remembered)

    assert [problem.id for problem in inbox_outlives_topics()] == found


def test_the_system_check_names_both_values_and_what_to_do(configure):
    configure(INBOX_RETENTION_DAYS=30, RETENTION_DAYS=60, SEGMENT_DAYS=2)

    [problem] = inbox_outlives_topics()

    assert "after 30 days" in problem.msg
    assert "for 62 days" in problem.msg
    assert "to 63 or more" in str(problem.hint)


def test_the_defaults_leave_a_week_for_a_relay_that_sends_again(settings):
    from messaging.conf import MessagingSettings

    own = MessagingSettings(service="sample", bootstrap_servers=[])

    assert own.inbox_retention_days - own.retention_days - own.segment_days >= 7


@pytest.mark.parametrize(
    ("kept", "configs"),
    [
        (37, days(30)),
        (2.5, days(2, 0.5)),
        (math.inf, days(-1)),
        (math.inf, days(30, policy="compact")),
        (37, days(30, policy="compact,delete")),
    ],
    ids=["thirty days", "two days", "for ever", "compacted", "compacted and deleted"],
)
def test_the_broker_says_how_long_a_topic_keeps_its_records(reader, topic, kept, configs):
    create_topic(topic, **configs)

    assert kept_by_broker([topic]) == {topic: kept}


def test_a_topic_that_the_broker_does_not_know_is_left_out(reader, topic):
    assert kept_by_broker([topic]) == {}


@pytest.mark.parametrize(("kept", "refused"), [(37, False), (44, False), (44.5, True), (100, True)])
def test_the_inbox_must_remember_for_longer_than_a_topic_keeps(topic, kept, refused):
    assert bool(reasons_to_refuse({topic: kept})) is refused


@pytest.mark.parametrize(("replay", "refused"), [("safe", False), ("skip", True)])
def test_what_is_kept_for_ever_needs_handlers_that_are_safe_to_be_replayed(topic, handles, replay, refused):
    handles(replay)

    reasons = reasons_to_refuse({topic: math.inf})

    assert bool(reasons) is refused
    assert all(f"{topic} keeps its records for ever, and sample.on_kept" in reason for reason in reasons)


def test_an_inbox_that_forgets_nothing_fits_every_topic(configure, topic, handles):
    handles("skip")
    configure(INBOX_RETENTION_DAYS=0)

    assert reasons_to_refuse({topic: math.inf, "another": 1000}) == []


def test_the_check_names_the_topic_both_values_and_what_to_do(reader, topic):
    create_topic(topic, **days(90, 10))

    with pytest.raises(InboxForgetsTooSoon) as refused:
        RetentionCheck().run()

    assert str(refused.value) == (
        f"the inbox forgets a handled event after 45 days (INBOX_RETENTION_DAYS), but {topic} may keep its record for"
        " 100 days (retention.ms + segment.ms). Set INBOX_RETENTION_DAYS to 101 or more, or to 0 (for ever), or shorten"
        " the topic's retention"
    )


def test_a_topic_that_is_created_later_is_looked_at_then(reader, topic, monkeypatch):
    monkeypatch.setattr("messaging.retention.topic_check.AGAIN_SECONDS", 0.1)
    asked = []
    monkeypatch.setattr(
        "messaging.retention.topic_check.kept_by_broker", lambda topics: asked.append(topics) or kept_by_broker(topics)
    )

    def create():
        eventually(lambda: len(asked) > 1)
        create_topic(topic, **days(90))

    [refused, _] = at_once(RetentionCheck().run, create)

    assert isinstance(refused, InboxForgetsTooSoon)


def test_a_broker_that_is_away_is_waited_for_and_then_asked(own_broker, configure, topic, monkeypatch, caplog):
    monkeypatch.setattr("messaging.retention.topic_check.AGAIN_SECONDS", 0.1)
    configure(BOOTSTRAP_SERVERS=[own_broker.address])
    create_topic(topic, **days(90))
    own_broker.stop()

    with ThreadPoolExecutor() as pool:
        checked = pool.submit(RetentionCheck().run)
        eventually(lambda: "could not check the retention of" in caplog.text, 60)
        own_broker.start()

        assert isinstance(checked.exception(120), InboxForgetsTooSoon)


def test_a_check_that_waits_for_the_broker_ends_when_it_is_told_to(configure, topic, monkeypatch):
    def away(topics):
        check.stop()
        raise KafkaError("away")

    monkeypatch.setattr("messaging.retention.topic_check.kept_by_broker", away)
    check = RetentionCheck()

    check.run()


@pytest.fixture
def start(tmp_path, group, reader):
    """Start a worker in this test's own group with further keys of MESSAGING."""
    return partial(worker, tmp_path / "output", group)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_forgets_what_its_topic_keeps_ends_and_says_why(start):
    with start(RETENTION_DAYS=1, SEGMENT_DAYS=1, INBOX_RETENTION_DAYS=3) as running:
        assert running.end() == EXIT_REFUSED

    assert "this worker refuses to start: the inbox forgets a handled event after 3 days" in running.said
    assert f"but {django_settings.SAMPLE_TOPIC} may keep its record for 37 days" in running.said


@pytest.mark.django_db(transaction=True)
def test_a_worker_whose_settings_contradict_each_other_does_not_start(start):
    with start(INBOX_RETENTION_DAYS=30) as running:
        assert running.end() not in (0, EXIT_REFUSED)

    assert "Set INBOX_RETENTION_DAYS to 38 or more" in running.said
    assert " ready." not in running.said
