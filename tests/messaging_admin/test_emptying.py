"""What a transactional test leaves is gone before the next one (tests/emptying.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models.signals import post_migrate
from django.test import TransactionTestCase

from tests.emptying import Emptying

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def migrated() -> Iterator[list[Any]]:
    """The times that post_migrate was emitted."""
    emitted: list[Any] = []

    def note(sender: Any, **_: Any) -> None:
        emitted.append(sender)

    post_migrate.connect(note)
    yield emitted
    post_migrate.disconnect(note)


def tear_down() -> None:
    """What happens after a transactional test."""
    TransactionTestCase("__init__")._fixture_teardown()


def file_of(table: str) -> str:
    """Return the file of a table, which is another one each time it is emptied."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filepath(%s)", [table])
        return str(cursor.fetchone()[0])


def test_rows_of_a_test_are_gone_with_all_that_refers_to_them(migrated: list[Any]) -> None:
    user = User.objects.create_user("han")
    user.groups.add(Group.objects.create(name="operators"))
    user.user_permissions.add(Permission.objects.first())

    tear_down()

    assert not User.objects.exists() and not Group.objects.exists()
    assert not User.groups.through.objects.exists() and not User.user_permissions.through.objects.exists()
    assert migrated == []


@pytest.mark.parametrize("leftover", range(2))
def test_no_test_sees_what_the_one_before_left(leftover: int) -> None:
    assert not Group.objects.exists()

    Group.objects.create(name=str(leftover))


def test_a_table_that_nobody_wrote_to_is_left_alone() -> None:
    before = file_of("auth_user"), file_of("auth_group")
    Group.objects.create(name="operators")

    tear_down()

    assert file_of("auth_user") == before[0]
    assert file_of("auth_group") != before[1]


def test_rows_that_were_deleted_or_rolled_back_leave_no_trace_in_the_file() -> None:
    Group.objects.create(name="operators").delete()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        User.objects.create_user("han")
        raise ZeroDivisionError

    tear_down()

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('auth_group'), pg_relation_size('auth_user')")
        assert cursor.fetchone() == (0, 0)


def test_permissions_stay_as_long_as_a_test_leaves_them_alone(migrated: list[Any]) -> None:
    before = list(Permission.objects.order_by("id").values_list())
    User.objects.create_user("han")

    tear_down()

    assert before and list(Permission.objects.order_by("id").values_list()) == before
    assert migrated == []


@pytest.mark.parametrize(
    "change",
    [
        lambda: Permission.objects.update(name="changed"),
        lambda: Permission.objects.first().delete(),
        lambda: ContentType.objects.create(app_label="nothing", model="nothing"),
    ],
    ids=["changed", "deleted", "more"],
)
def test_changed_permissions_are_made_again_as_the_migrations_make_them(change: Any, migrated: list[Any]) -> None:
    before = sorted(Permission.objects.values_list("codename", "name"))
    change()

    tear_down()

    assert migrated
    assert sorted(Permission.objects.values_list("codename", "name")) == before
    assert not ContentType.objects.filter(app_label="nothing").exists()
    migrated.clear()
    tear_down()
    assert migrated == []  # once is enough


def test_sequences_go_on_as_with_djangos_own_way() -> None:
    first = Group.objects.create(name="one").id

    tear_down()

    assert Group.objects.create(name="two").id == first + 1


def test_nothing_to_empty_costs_a_few_reads(django_assert_max_num_queries: Any) -> None:
    emptying = Emptying()

    with django_assert_max_num_queries(4):
        assert emptying.empty()
