"""What the services' settings must name for the shared layer to hold."""

from __future__ import annotations

from django.conf import settings
from django.urls import get_resolver

from webapi import problems


def test_the_settings_use_the_shared_layer():
    # Then every default of the API is ours
    framework = settings.REST_FRAMEWORK
    assert framework["DEFAULT_AUTHENTICATION_CLASSES"] == ["webapi.authentication.BearerAuthentication"]
    assert framework["DEFAULT_PERMISSION_CLASSES"] == ["rest_framework.permissions.IsAuthenticated"]
    assert framework["DEFAULT_PARSER_CLASSES"] == ["webapi.parsers.StrictJSONParser"]
    assert framework["EXCEPTION_HANDLER"] == "webapi.problems.handler"
    assert "webapi.schema.add_problems" in settings.SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"]


def test_unknown_addresses_and_bugs_are_problems_in_every_service():
    # Then the URLconf names the shared handlers
    assert get_resolver().resolve_error_handler(404) is problems.not_found
    assert get_resolver().resolve_error_handler(500) is problems.server_error
    assert get_resolver().resolve_error_handler(400) is problems.bad_request
