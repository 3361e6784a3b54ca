"""Callers without a token are counted by address; those with one are not; without Redis nobody is."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace

import pytest
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.webapi.conftest import signed_in
from webapi import limits, throttles
from webapi.throttles import AnonymousReads, ShowsRateLimit

pytestmark = pytest.mark.urls(__name__)


class Window(ShowsRateLimit, APIView):
    permission_classes = (AllowAny,)
    throttle_classes = (AnonymousReads,)

    def get(self, request):
        return Response({})


urlpatterns = [path("api/v1/window", Window.as_view())]


@pytest.fixture(autouse=True)
def _three_a_minute(settings):
    settings.ANONYMOUS_READS_PER_MINUTE = 3
    limits._storage().reset()
    AnonymousReads._uncounted_until = float("-inf")
    yield
    AnonymousReads._uncounted_until = float("-inf")


def test_the_fourth_read_of_a_minute_waits_and_each_says_what_is_left(client):
    # When somebody without a token reads four times
    answers = [client.get("/api/v1/window") for _ in range(4)]
    # Then three pass, and each says how many are left
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"anonymous-reads";q=3;w=60'}
    assert answers[3].json()["code"] == "throttled"
    # And another address is not held up
    assert client.get("/api/v1/window", REMOTE_ADDR="10.0.0.9").status_code == 200


def test_a_caller_with_a_token_is_not_counted(issuer):
    # When a customer reads often
    outcomes = {signed_in(issuer.token("k1")).get("/api/v1/window").status_code for _ in range(10)}
    # Then it always passes
    assert outcomes == {200}


def test_reads_go_on_without_redis(client, settings):
    # Given a Redis that does not answer
    settings.RATE_LIMIT_URL = "redis://127.0.0.1:1/0"
    # Then reads pass, and nothing is said about a limit
    answers = [client.get("/api/v1/window") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert not answers[0].has_header("RateLimit")


def test_a_redis_that_hangs_holds_up_one_read_and_not_each(client, settings, monkeypatch):
    # Given a Redis that takes connections and never answers
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.RATE_LIMIT_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        asked = []
        take = limits.take
        monkeypatch.setattr(limits, "take", lambda counted: asked.append(counted) or take(counted))
        # When there are five reads
        outcomes = {client.get("/api/v1/window").status_code for _ in range(5)}
    # Then the first one waited for it, and no other
    assert outcomes == {200}
    assert len(asked) == 1
    # And after a while Redis is asked again
    monkeypatch.setattr(throttles, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 6))
    client.get("/api/v1/window")
    assert len(asked) == 2
