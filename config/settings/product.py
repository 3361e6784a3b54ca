"""Settings of the product service's project."""

from config.settings.base import service_settings
from config.topology import PRODUCT

globals().update(service_settings(PRODUCT))
