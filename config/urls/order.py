"""URLs of the order service's project."""

from config.urls.base import service_urls

urlpatterns = service_urls("order_app")
