"""URLs of the user service's project. Its keys are at the root, where the other services fetch them."""

from django.urls import include, path

from config.urls.base import service_urls

urlpatterns = [*service_urls("user_app"), path(".well-known/", include("user_app.api.well_known"))]

handler400 = "webapi.problems.bad_request"
handler404 = "webapi.problems.not_found"
handler500 = "webapi.problems.server_error"
