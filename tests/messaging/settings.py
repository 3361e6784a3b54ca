"""A small project of its own: the library alone, with events and topics that only these tests know.

SAMPLE_… variables let a process that a test starts share its topics, group and database, with other settings.
"""

import json
import os

from config.settings.base import service_settings
from config.topology import PRODUCT

_RUN = os.environ.get("SAMPLE_RUN", str(os.getpid()))

globals().update(service_settings(PRODUCT))
SERVICE_NAME = "sample"
ROOT_URLCONF = "tests.messaging.urls"
INSTALLED_APPS = ["messaging", "tests.messaging.sample"]
SAMPLE_TOPIC = f"sample.events.{_RUN}"
SAMPLE_UNORDERED = f"sample.claims.{_RUN}"
SAMPLE_GROUP = os.environ.get("SAMPLE_GROUP", f"sample-{_RUN}")
MESSAGING = {
    **globals()["MESSAGING"],
    "SERVICE": "sample",
    "TOPICS": {SAMPLE_TOPIC: {}, SAMPLE_UNORDERED: {}, "sample.dead-letters": {}},
    "GROUPS": {SAMPLE_GROUP: [SAMPLE_TOPIC], f"{SAMPLE_GROUP}-claims": [SAMPLE_UNORDERED]},
    "UNORDERED_TOPICS": [SAMPLE_UNORDERED],
    "PARTITIONS": 3,
    "REPLICATION_FACTOR": 1,
    "SESSION_TIMEOUT_MS": 6000,
    "POLL_MS": 100,
    "RETRY_DELAYED": 0,
    "RETRY_PAUSE_SECONDS": 0.05,
    "RETRY_PAUSE_CAP_SECONDS": 0.2,
    "STOPPED_RETRY_SECONDS": 0.3,
    "OUTAGE_PAUSE_SECONDS": 0.1,
    "OUTAGE_PAUSE_CAP_SECONDS": 0.5,
    **json.loads(os.environ.get("SAMPLE_MESSAGING", "{}")),
}
if "SAMPLE_DATABASE_PORT" in os.environ:
    globals()["DATABASES"]["default"]["PORT"] = os.environ["SAMPLE_DATABASE_PORT"]
globals()["DATABASES"]["default"]["NAME"] = os.environ.get("SAMPLE_DATABASE", "messaging")
