"""The operators' pages: everything can be looked at, nothing edited, and compensating asks for a reason first."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

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
    page = unescape(supervisor.get(f"{SAGAS}{an_order()}/change/").content.decode())
    for text in ("stock", "coupon", "order.OrderCreated.v1", "the order service's request has not reached Kafka yet"):
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
    assert "the saga is already COMPENSATING" in page
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


def ask(client: Client, action: str, *order_ids: UUID) -> dict[str, str]:
    """Choose an action for some sagas, and return the hidden fields of the confirmation."""
    page = unescape(post(client, action, *order_ids))
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', page))


def confirm(client: Client, fields: dict[str, str], reason: str = "recall of the tea") -> str:
    """Give the reason, and return the page that follows."""
    return client.post(f"{SAGAS}act/", {**fields, "reason": reason}, follow=True).content.decode()


def test_a_confirmation_sent_twice_acts_once(supervisor: Client) -> None:
    order_id = a_confirmed_order()
    frozen = ask(supervisor, "compensate", order_id)
    assert "Done: " in confirm(supervisor, frozen)
    assert "Unchanged: " in confirm(supervisor, frozen)
    assert len(published(OrderCanceled)) == 1


def test_a_confirmation_acts_on_the_sagas_that_it_showed(supervisor: Client) -> None:
    shown, later = an_order(), an_order()
    frozen = ask(supervisor, "compensate", shown)
    Saga.objects.filter(order_id=shown).update(flagged=True)
    confirm(supervisor, {**frozen, "back": f"{SAGAS}?flagged__exact=0"})
    assert (shape(shown)[0], shape(later)[0]) == ("CANCELED", "PENDING")


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_reason_of_spaces_is_refused_with_a_message(supervisor: Client, reason: str) -> None:
    order_id = an_order()
    assert "Say why" in confirm(supervisor, ask(supervisor, "compensate", order_id), reason)
    assert "Say why" in post(supervisor, "compensate", order_id, confirmed="yes", reason=reason)
    assert not OperatorAction.objects.exists()


def test_a_reason_with_nul_is_a_400(supervisor: Client) -> None:
    fields = {**ask(supervisor, "compensate", an_order()), "reason": "\x00 ", "confirmed": "yes"}
    assert supervisor.post(f"{SAGAS}act/", fields).status_code == 400
    assert not OperatorAction.objects.exists()


def test_a_session_that_ends_on_the_confirmation_leads_back_to_the_list(supervisor: Client) -> None:
    order_id = an_order()
    back = f"{SAGAS}?status__exact=RUNNING"
    fields = {**ask(supervisor, "compensate", order_id), "back": back}
    supervisor.logout()
    answer = supervisor.post(f"{SAGAS}act/", {**fields, "reason": "x"})
    assert answer["Location"] == f"/admin/login/?next={quote(back)}"
    assert shape(order_id)[0] == "PENDING"


@pytest.mark.parametrize("targets", ["", "[1]", '[["no id"]]', "[[1]]", '[["a", "b"]]', "[[]]", "{"])
def test_targets_that_no_page_had_are_refused(supervisor: Client, targets: str) -> None:
    fields = {"verb": "compensate", "targets": targets, "confirmed": "yes", "reason": "x"}
    assert supervisor.post(f"{SAGAS}act/", fields).status_code == 403


@pytest.mark.parametrize("action", ["compensate", "request_again", "resolve_by_hand"])
def test_an_action_needs_its_own_permission(viewer: Client, action: str) -> None:
    order_id = an_order()
    names = {"compensate": "compensate_saga", "request_again": "request_saga_again", "resolve_by_hand": "resolve_saga"}
    others = Permission.objects.filter(codename__in=set(names.values()) - {names[action]})
    assert len(others) == 2
    User.objects.get().user_permissions.add(*others)
    fields = {"verb": action, "targets": f'[["{order_id}"]]', "confirmed": "yes", "reason": "x"}
    assert viewer.post(f"{SAGAS}act/", fields).status_code == 403
    post(viewer, action, order_id, confirmed="yes", reason="x")
    assert not OperatorAction.objects.exists()


def test_a_confirmation_of_many_lists_some_and_acts_on_all(supervisor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.admin.actions.LISTED", 1)
    frozen = ask(supervisor, "compensate", an_order(), an_order(), an_order())
    assert "and 2 more" in post(supervisor, "compensate", *Saga.objects.values_list("pk", flat=True))
    confirm(supervisor, frozen)
    assert set(Order.objects.values_list("status", flat=True)) == {"CANCELED"}


@pytest.mark.parametrize(("model", "table"), [("order", "order_app_order"), ("sagahistory", "order_app_sagahistory")])
def test_filters_ask_no_large_table_for_its_distinct_values(supervisor: Client, model: str, table: str) -> None:
    an_order()
    with CaptureQueriesContext(connection) as asked:
        text = supervisor.get(f"/admin/order_app/{model}/").content.decode()
    assert ("?currency=" if model == "order" else "?to_status=COMPENSATED") in text
    assert not [each["sql"] for each in asked if f'DISTINCT "{table}"' in each["sql"]]
