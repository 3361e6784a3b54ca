"""Changes of one user that overlap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from user_app import services
from user_app.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def in_thread(work):
    """Run `work` with a database connection of its own."""

    def run(argument):
        try:
            return work(argument)
        finally:
            connection.close()

    return run


def test_overlapping_changes_are_published_in_the_order_of_their_versions(alice, published):
    # When four threads switch one user off and on
    @in_thread
    def switch(n):
        with transaction.atomic():
            services.set_active(user_id=alice.pk, active=bool(n % 2))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(switch, range(40)))
    # Then no version is missing, doubled or out of order, and the last one published is what is stored
    alice.refresh_from_db()
    versions = [each["version"] for each in published()]
    assert versions == list(range(2, alice.version + 1))
    assert not versions or published()[-1]["active"] == alice.is_active


def test_of_many_who_want_one_name_exactly_one_gets_it(transactional_db, published):
    # When eight register the same name at once
    @in_thread
    def register(n):
        try:
            with transaction.atomic():
                services.register_user(username="same" if n % 2 else "SAME", email="", password="x")
        except services.UsernameTaken:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        registered = sum(pool.map(register, range(8)))
    # Then one did, and one event was published
    assert registered == User.objects.count() == len(published()) == 1
