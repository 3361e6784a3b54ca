"""Settings of the order service's project."""

from config.env import read
from config.settings.base import service_settings
from config.topology import ORDER

globals().update(service_settings(ORDER))

SAGA_DEADLINE_SECONDS: int = read("SAGA_DEADLINE_SECONDS")
SAGA_UNDO_BUDGET_SECONDS: int = read("SAGA_UNDO_BUDGET_SECONDS")
SAGA_UNDO_RETRY_SECONDS: int = read("SAGA_UNDO_RETRY_SECONDS")
SAGA_UNDO_RETRY_CAP_SECONDS: int = read("SAGA_UNDO_RETRY_CAP_SECONDS")
