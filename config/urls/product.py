"""URLs of the product service's project."""

from config.urls.base import service_urls

urlpatterns = service_urls("product_app")
