"""URLs of the order service's project."""

from config.urls.base import service_urls

urlpatterns = service_urls("order_app")

handler400 = "webapi.problems.bad_request"
handler404 = "webapi.problems.not_found"
handler500 = "webapi.problems.server_error"
