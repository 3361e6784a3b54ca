"""URLs of the coupon service's project."""

from config.urls.base import service_urls

urlpatterns = service_urls("coupon_app")
