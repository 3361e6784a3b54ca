"""Fixtures: people with other permissions, and a consumer group that needs no broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.test import Client

from messaging.inbox import positions
from tests.messaging.operating import Switch
from tests.messaging.sample import handlers

#: Signs somebody in who may view everything, and has these permissions too.
SignIn = Callable[..., Client]


@pytest.fixture
def group(settings: Any, db: None) -> str:
    """The service's consumer group, at the beginning of its topic."""
    settings.MESSAGING = {**settings.MESSAGING, "GROUPS": {"sample": [django_settings.SAMPLE_TOPIC]}}
    positions.create("sample", {(django_settings.SAMPLE_TOPIC, 0): 0})
    return "sample"


@pytest.fixture
def sign_in(db: None) -> SignIn:
    def signed_in(*codenames: str, views: bool = True) -> Client:
        user = User.objects.create_user("-".join(codenames) or "han", is_staff=True)
        wanted = list(Permission.objects.filter(codename__in=codenames))
        assert len(wanted) == len(codenames)
        viewing = Permission.objects.filter(codename__startswith="view_") if views else []
        user.user_permissions.set([*wanted, *viewing])
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def viewer(sign_in: SignIn) -> Client:
    """Somebody who may only look."""
    return sign_in()


@pytest.fixture
def operator(sign_in: SignIn) -> Client:
    """Somebody who may do everything with events."""
    return sign_in("retry_deadletter", "edit_deadletter", "skip_deadletter", "pause_handler")


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> Switch:
    """The batch handler's behaviour `batch bug`: a dead letter, since that handler has no failure answer."""
    switch = Switch(ZeroDivisionError("a bug"))
    monkeypatch.setitem(handlers.batch_behaviours, "batch bug", switch)
    return switch
