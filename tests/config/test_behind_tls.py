"""What a service does behind a proxy that speaks TLS."""

from __future__ import annotations

import pytest

from config.settings.base import behind_tls


def test_an_https_address_makes_cookies_secure_and_trusts_the_proxy():
    settings = behind_tls("https://orders.example.org/")

    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://orders.example.org"]
    assert settings["SESSION_COOKIE_SECURE"] and settings["CSRF_COOKIE_SECURE"]
    assert settings["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:8001"])
def test_without_tls_no_header_of_a_proxy_is_trusted(address):
    assert behind_tls(address) == {}
