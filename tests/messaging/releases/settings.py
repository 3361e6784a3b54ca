"""The sample's project with the release that RELEASE names, and its migrations; with ALL_MIGRATIONS, every release's.

The last migration ships when `after` runs alone: a worker refuses a table without the migrations of its own code.
"""

import os

from tests.messaging.settings import *  # noqa: F403

RELEASES = "tests.messaging.releases"
OWN = f"{RELEASES}.{os.environ['RELEASE']}"
INSTALLED_APPS = ["messaging", OWN]
MIGRATION_MODULES = {"parcels": f"{RELEASES if 'ALL_MIGRATIONS' in os.environ else OWN}.migrations"}
