"""manage.py user republish_users, and the daily task."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from messaging.models import OperatorAction
from user_app import services, tasks
from user_app.models import User

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


def test_force_raises_the_version_of_what_was_fixed_by_sql(alice, published):
    # Given an account that somebody deactivated by SQL
    User.objects.update(is_active=False)
    # When it is announced with a higher version
    call_command("republish_users", "--force", "--reason", "fixed by hand")
    # Then every copy takes it, and the audit log has the reason
    assert published()[-1] == {"user_id": str(alice.pk), "version": 2, "active": False}
    assert OperatorAction.objects.get().reason == "fixed by hand"
    # And without a reason nothing happens
    with pytest.raises(CommandError, match="--force needs --reason"):
        call_command("republish_users", "--force")
