"""Settings of the coupon service's project."""

from config.settings.base import service_settings
from config.topology import COUPON

globals().update(service_settings(COUPON))
