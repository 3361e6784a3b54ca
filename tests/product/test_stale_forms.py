"""A form of the admin writes what was changed in it, and only if the row is as it was when the form was opened."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client

from product_app import services
from product_app.models import Product
from tests.opened_form import opened, seen
from tests.product.test_admin import ADMIN, NO_INLINES, MakeProduct

pytestmark = pytest.mark.django_db


def test_a_form_that_was_opened_before_another_change_is_refused(
    admin_client: Client, make_product: MakeProduct
) -> None:
    product = make_product(5)
    page = f"{ADMIN}/product/{product.id}/change/"
    old = opened(admin_client, page)
    services.change_product(product_id=product.id, price=Decimal(7), active=False)

    response = admin_client.post(page, {**old, "name": "Pot", **NO_INLINES})

    assert (response.status_code, "Price: 7.000" in response.content.decode()) == (200, True)
    product.refresh_from_db()
    assert (product.name, product.price, product.active, product.version) == ("Tea", 7, False, 2)


def test_a_form_without_what_it_was_opened_with_is_refused(admin_client: Client, make_product: MakeProduct) -> None:
    page = f"{ADMIN}/product/{make_product().id}/change/"
    response = admin_client.post(page, {"name": "Pot", "price": "5", "currency": "KRW", **NO_INLINES})

    assert (response.status_code, Product.objects.get().name) == (200, "Tea")


def test_an_order_does_not_make_a_form_stale(
    admin_client: Client, make_product: MakeProduct, ask: Callable[..., None]
) -> None:
    tea = make_product(5)
    page = f"{ADMIN}/product/{tea.id}/change/"
    old = opened(admin_client, page)
    ask(("CREATED", uuid4(), [(tea.id, 2)]))

    assert admin_client.post(page, {**old, "name": "Pot", **NO_INLINES}).status_code == 302
    tea.refresh_from_db()
    assert (tea.name, tea.quantity, tea.price) == ("Pot", 3, 12000)


def test_only_what_was_changed_in_the_form_is_written(
    admin_client: Client, make_product: MakeProduct, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    change = services.change_product
    monkeypatch.setattr(services, "change_product", lambda **values: given.append(values) or change(**values))
    tea = make_product()
    page = f"{ADMIN}/product/{tea.id}/change/"

    admin_client.post(page, {**opened(admin_client, page), "name": "Pot", **NO_INLINES})

    assert given == [{"product_id": tea.id, "name": "Pot"}]


@pytest.mark.django_db(transaction=True)
def test_of_two_forms_sent_at_once_one_is_refused(make_product: MakeProduct) -> None:
    page = f"{ADMIN}/product/{make_product().id}/change/"
    clients = [Client(), Client()]
    operator = User.objects.create_superuser("olga", password="x")
    for client in clients:
        client.force_login(operator)
    forms = [{**opened(client, page), "name": f"Pot {number}"} for number, client in enumerate(clients)]
    barrier = Barrier(2)

    def send(client: Client, form: dict[str, Any]) -> int:
        try:
            barrier.wait()
            return client.post(page, {**form, **NO_INLINES}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(send, clients, forms)) == [200, 302]
    assert Product.objects.get().version == 2


def test_a_revoked_right_does_not_come_back_by_an_old_form(admin_client: Client) -> None:
    eve = User.objects.create_user("eve", is_staff=True)
    page = f"/admin/auth/user/{eve.pk}/change/"
    old = opened(admin_client, page)
    User.objects.filter(pk=eve.pk).update(is_staff=False)

    response = admin_client.post(page, {**old, "first_name": "Eve"})

    assert (response.status_code, "after you opened the form" in response.content.decode()) == (200, True)
    eve.refresh_from_db()
    assert (eve.is_staff, eve.first_name) == (False, "")


def test_a_permission_that_was_taken_from_a_group_does_not_come_back(admin_client: Client) -> None:
    group = Group.objects.create(name="clerks")
    group.permissions.set(Permission.objects.filter(codename="change_product"))
    page = f"/admin/auth/group/{group.pk}/change/"
    old = {"name": "clerks", "permissions": [group.permissions.get().pk], **seen(admin_client, page)}
    group.permissions.clear()

    assert admin_client.post(page, {**old, "name": "others"}).status_code == 200
    assert (Group.objects.get().name, group.permissions.count()) == ("clerks", 0)


def test_a_password_is_set_on_djangos_own_page(admin_client: Client) -> None:
    eve = User.objects.create_user("eve")
    new = {"usable_password": "true", "password1": "new-horse-battery-8", "password2": "new-horse-battery-8"}

    assert admin_client.post(f"/admin/auth/user/{eve.pk}/password/", new).status_code == 302
