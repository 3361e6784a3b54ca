"""What the roles of staff allow with the orders of others."""

from __future__ import annotations

from uuid import uuid4

import pytest

from messaging.models import OutboxRow
from order_app.models import OperatorAction
from tests.order.conftest import client_of
from tests.order.given import an_order, shape
from webapi.roles import Role

pytestmark = pytest.mark.django_db(transaction=True)


def address(order_id: object, what: str = "") -> str:
    return f"/api/v1/orders/{order_id}{what}"


@pytest.mark.parametrize(
    ("role", "sees", "cancels"),
    [
        (Role.VIEWER, True, False),
        (Role.OPERATOR, True, True),
        (Role.SUPERVISOR, True, True),
        (Role.CATALOG, False, False),
        (Role.MARKETING, False, False),
    ],
)
def test_a_role_sees_and_cancels_the_orders_of_others(role: Role, sees: bool, cancels: bool) -> None:
    order_id, staff = an_order(), client_of(uuid4(), is_staff=True, roles=[role])

    assert staff.get("/api/v1/orders").json()["count"] == int(sees)
    assert {staff.get(address(order_id, what)).status_code for what in ("", "/saga")} == {200 if sees else 404}
    answer = staff.post(address(order_id, "/cancel"), {"reason": "fraud"})
    assert answer.status_code == (202 if cancels else 403 if sees else 404)
    assert shape(order_id)[0] == ("CANCELED" if cancels else "PENDING")


def test_a_viewer_learns_which_role_cancels_and_leaves_no_trace() -> None:
    order_id, viewer = an_order(), client_of(uuid4(), is_staff=True, roles=[Role.VIEWER])
    OutboxRow.objects.all().delete()

    problem = viewer.post(address(order_id, "/cancel"), {"reason": "fraud"}).json()
    assert (problem["code"], "operator or supervisor" in problem["detail"]) == ("role_missing", True)
    assert not OperatorAction.objects.exists()
    assert not OutboxRow.objects.exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CATALOG])
def test_staff_without_the_role_still_cancels_its_own_order(role: Role) -> None:
    me = uuid4()
    order_id = an_order(user_id=me)

    assert client_of(me, is_staff=True, roles=[role]).post(address(order_id, "/cancel")).status_code == 202
