"""The operators' pages: everything can be looked at, nothing edited, and compensating asks for a reason first."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from contracts.order import OrderCanceled
from messaging.testing import published
from order_app.models import OperatorAction, Order, ProductCopy, Saga
from tests.order.given import a_confirmed_order, an_inactive_user, an_order, shape

pytestmark = pytest.mark.django_db(transaction=True)

SAGAS = "/admin/order_app/saga/"


@pytest.fixture
def supervisor(client: Client) -> Client:
    """A client signed in as somebody who may do everything."""
    client.force_login(User.objects.create_superuser("lee"))
    return client


@pytest.fixture
def viewer(client: Client) -> Client:
    """A client signed in as somebody who may only look."""
    user = User.objects.create_user("han", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def post(client: Client, action: str, *order_ids: UUID, **more: str) -> str:
    """Choose an action for some sagas, and return the page that follows."""
    body = {"action": action, "_selected_action": [str(order_id) for order_id in order_ids], **more}
    return client.post(SAGAS, body, follow=True).content.decode()


@pytest.mark.parametrize(
    "model", ["order", "saga", "sagahistory", "operatoraction", "productcopy", "usercopy", "idempotencykey"]
)
def test_every_list_and_page_opens_and_nothing_can_be_added(supervisor: Client, model: str) -> None:
    a_confirmed_order()
    an_inactive_user()
    assert supervisor.get(f"/admin/order_app/{model}/").status_code == 200
    assert supervisor.get(f"/admin/order_app/{model}/add/").status_code == 403


def test_the_pages_of_order_saga_and_ledger_rows_open_and_refuse_changes(supervisor: Client) -> None:
    order_id = a_confirmed_order()
    post(supervisor, "compensate", order_id, confirmed="yes", reason="x")
    pages = [
        f"order/{order_id}",
        f"saga/{order_id}",
        f"operatoraction/{OperatorAction.objects.get().id}",
        f"productcopy/{ProductCopy.objects.get().pk}",
    ]
    for page in pages:
        assert supervisor.get(f"/admin/order_app/{page}/change/").status_code == 200
        assert supervisor.post(f"/admin/order_app/{page}/change/", {}).status_code == 403
        assert supervisor.post(f"/admin/order_app/{page}/delete/", {"post": "yes"}).status_code == 403


def test_the_saga_page_shows_steps_history_and_what_it_waits_for(supervisor: Client) -> None:
    page = supervisor.get(f"{SAGAS}{an_order()}/change/").content.decode()
    for text in ("stock", "coupon", "order.OrderCreated.v1", "our request has not reached Kafka yet"):
        assert text in page


@pytest.mark.parametrize("field", ["id", "user_id"])
@pytest.mark.parametrize("model", ["order", "saga"])
def test_orders_and_sagas_are_found_by_order_id_and_by_user_id(supervisor: Client, model: str, field: str) -> None:
    wanted, other = Order.objects.get(id=an_order()), an_order()
    page = supervisor.get(f"/admin/order_app/{model}/", {"q": f" {getattr(wanted, field)} "}).content.decode()
    assert str(wanted.id) in page
    assert str(other) not in page


@pytest.mark.parametrize("text", ["nobody", str(uuid4()), "%"])
def test_a_search_for_anything_else_finds_nothing(supervisor: Client, text: str) -> None:
    order_id = an_order()
    assert str(order_id) not in supervisor.get(SAGAS, {"q": text}).content.decode()


def test_sagas_are_filtered_by_status_and_flag(supervisor: Client) -> None:
    confirmed, flagged = a_confirmed_order(), an_order()
    Saga.objects.filter(order_id=flagged).update(flagged=True)
    completed = supervisor.get(SAGAS, {"status__exact": "COMPLETED"}).content.decode()
    assert str(confirmed) in completed
    assert str(flagged) not in completed
    alarms = supervisor.get(SAGAS, {"flagged__exact": "1"}).content.decode()
    assert str(flagged) in alarms
    assert str(confirmed) not in alarms


def test_compensate_first_shows_what_will_happen_and_asks_for_a_reason(supervisor: Client) -> None:
    order_id = a_confirmed_order()
    page = post(supervisor, "compensate", order_id)
    assert "stock DONE, coupon DONE" in page
    assert 'name="reason"' in page
    page = post(supervisor, "compensate", order_id, confirmed="yes", reason="  ")
    assert 'name="reason"' in page
    assert shape(order_id)[0] == "CONFIRMED"


def test_a_confirmed_compensation_is_done_once_told_and_noted(supervisor: Client) -> None:
    order_id, canceled = a_confirmed_order(), an_order()
    for _ in range(2):
        page = post(supervisor, "compensate", order_id, canceled, confirmed="yes", reason="recall of the tea")
    assert "the saga is COMPENSATING already" in page
    assert shape(order_id)[1] == "COMPENSATING"
    assert len(published(OrderCanceled)) == 2
    action = OperatorAction.objects.earliest("id")
    assert (action.actor, action.reason) == ("lee", "recall of the tea")
    assert [result["outcome"] for result in action.results] == ["done", "done"]


def test_a_filter_in_the_address_does_not_change_what_was_selected(supervisor: Client) -> None:
    order_id = an_order()
    body = {"action": "compensate", "_selected_action": [str(order_id)], "confirmed": "yes", "reason": "x"}
    supervisor.post(f"{SAGAS}?status__exact=COMPLETED", body)
    assert shape(order_id)[0] == "CANCELED"


@pytest.mark.parametrize("action", ["request_again", "resolve_by_hand"])
def test_the_other_verbs_ask_and_act_likewise(supervisor: Client, action: str) -> None:
    order_id = an_order()
    assert 'name="reason"' in post(supervisor, action, order_id)
    post(supervisor, action, order_id, confirmed="yes", reason="x")
    outcome = OperatorAction.objects.get().results[0]["outcome"]
    assert outcome == {"request_again": "done", "resolve_by_hand": "refused"}[action]


@pytest.mark.parametrize("action", ["compensate", "request_again", "resolve_by_hand"])
def test_who_may_only_look_can_not_act(viewer: Client, action: str) -> None:
    order_id = an_order()
    assert viewer.get(f"{SAGAS}{order_id}/change/").status_code == 200
    post(viewer, action, order_id, confirmed="yes", reason="x")
    assert not OperatorAction.objects.exists()
    assert shape(order_id)[0] == "PENDING"
