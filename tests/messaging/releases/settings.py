"""The sample's project with the release that RELEASE names; the migrations of all of them are in one folder."""

import os

from tests.messaging.settings import *  # noqa: F403

INSTALLED_APPS = ["messaging", f"tests.messaging.releases.{os.environ['RELEASE']}"]
MIGRATION_MODULES = {"parcels": "tests.messaging.releases.migrations"}
