"""manage.py user republish_users, and the daily task."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import transaction

from user_app import services, tasks

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_user_is_announced_as_it_is_now(alice, published, monkeypatch, capsys):
    # Given more users than are announced at a time, one of them deactivated
    monkeypatch.setattr(tasks, "PAGE", 2)
    with transaction.atomic():
        services.set_active(user_id=alice.pk, active=False)
        for n in range(4):
            services.register_user(username=f"user{n}", email="", password="x")
    before = published()
    # When they are announced again
    call_command("republish_users")
    # Then each is, once, with the version that it has
    again = published()[len(before) :]
    assert len({each["user_id"] for each in again}) == len(again) == 5
    assert {"user_id": str(alice.pk), "version": 2, "active": False} in again
    assert "5 users" in capsys.readouterr().out


def test_the_task_has_a_stable_name_and_is_safe_to_repeat(alice, published):
    # When the task runs twice
    assert [tasks.republish_users(), tasks.republish_users()] == [1, 1]
    # Then the version has not moved, so copies that are up to date ignore both
    assert [each["version"] for each in published()] == [1, 1]
    assert tasks.republish_users.name == "user.republish_users"
