"""What the order service reads, for its API, its timers and its operators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from batchsql import fetch
from contracts.order import TOPIC
from messaging import foreign_members, outbox_pending, outbox_refusal, parked_events, positions_of, unhandled
from order_app.domain import Product, SagaStatus, StepStatus, answer_topics, steps
from order_app.models import Order, ProductCopy, Saga, SagaStep

# Not by the ORM: it took a sixth of the time to place an order.
_PRODUCTS = """
SELECT product_id, price, currency, active, name FROM order_app_productcopy WHERE product_id = ANY(%s::uuid[])
"""
_INACTIVE_USERS = "SELECT user_id FROM order_app_usercopy WHERE user_id = ANY(%s::uuid[]) AND NOT active"


def get_products(product_ids: Iterable[UUID]) -> dict[UUID, Product]:
    """Return the local copies of these products, without those that are unknown."""
    return {product_id: Product(*known) for product_id, *known in fetch(_PRODUCTS, set(product_ids))}


def list_currencies() -> list[str]:
    """Return the currencies of the known products, which are the ones of orders."""
    return sorted(ProductCopy.objects.order_by().values_list("currency", flat=True).distinct())


def get_inactive_users(user_ids: Iterable[UUID]) -> set[UUID]:
    """Return the deactivated ones of these users. A user without a copy counts as active."""
    return {user_id for (user_id,) in fetch(_INACTIVE_USERS, set(user_ids))}


def list_orders(*, user_id: UUID | None = None) -> QuerySet[Order]:
    """Return the orders of a user, or of all users, newest first, with their lines."""
    orders = Order.objects.prefetch_related("lines")
    return orders if user_id is None else orders.filter(user_id=user_id)


def get_saga(order_id: UUID) -> Saga:
    """Return the saga with its steps and history; Saga.DoesNotExist."""
    return Saga.objects.select_related("order").prefetch_related("steps", "history").get(order_id=order_id)


def list_overdue(*, now: datetime, after: UUID | None = None, limit: int = 100) -> list[UUID]:
    """Return running sagas past their deadline, ordered by order id, starting after `after`."""
    return _page(Saga.objects.filter(status=SagaStatus.RUNNING, deadline__lte=now), after, limit)


def list_undo_due(*, now: datetime, after: UUID | None = None, limit: int = 100) -> list[UUID]:
    """Return sagas whose undo request is due again, ordered by order id, starting after `after`."""
    return _page(Saga.objects.filter(undo_next_at__lte=now), after, limit)


def _page(sagas: QuerySet[Saga], after: UUID | None, limit: int) -> list[UUID]:
    later = sagas if after is None else sagas.filter(order_id__gt=after)
    return list(later.order_by("order_id").values_list("order_id", flat=True)[:limit])


def answer_group() -> str:
    """Return the consumer group that reads the participants' answers."""
    return str(next(iter(settings.MESSAGING["GROUPS"])))


def answer_positions() -> dict[tuple[str, int], int]:
    """Return how far the order service has read the participants' answers: (topic, partition) → next offset."""
    return {
        (topic, position.partition): position.next_offset
        for topic in answer_topics()
        for position in positions_of(answer_group(), topic)
    }


def request_places(places: Mapping[str, int] | None) -> dict[int, int]:
    """Return where a saga's request was seen not to be read by a participant: partition → the end of its log."""
    found = read_places(places or {})
    return {partition: end for (topic, partition), end in found.items() if topic == TOPIC}


def read_places(places: Mapping[str, int]) -> dict[tuple[str, int], int]:
    """Return a saga's guard offsets as (topic, partition) → next offset."""
    parted = ((place.rpartition("/"), offset) for place, offset in places.items())
    return {(topic, int(partition)): offset for (topic, _, partition), offset in parted}


def waiting_for(saga: Saga, *, errors: bool = True) -> list[str]:
    """Return a sentence for each unfinished step: what it waits for. Empty if the saga waits for nothing.

    Customers read these sentences too. Without `errors` they do not contain the text of an error.
    """
    unfinished = [step for step in saga.steps.all() if step.status in _WAITING]
    if not unfinished:
        return []
    return [_sentence(step, _why(saga, step, errors)) for step in unfinished]


_WAITING = (StepStatus.PENDING, StepStatus.UNDOING, StepStatus.WAIVED)


def _why(saga: Saga, step: SagaStep, errors: bool) -> str:
    # Parked events first: the dead letter of one may still be in the outbox, under the same key.
    ours = _our_queue(saga, step, errors) or _our_sending(saga, errors) or _our_reading(saga, step, errors)
    return ours or _their_reading(saga, step, errors)


def _our_sending(saga: Saga, errors: bool) -> str:
    if not outbox_pending(str(saga.order_id)):
        return ""
    refusal = outbox_refusal(str(saga.order_id))
    if not refusal:
        return "the order service's request has not reached Kafka yet"
    return "Kafka does not take the order service's request" + (f": {refusal}" if errors else "")


def _our_queue(saga: Saga, step: SagaStep, errors: bool) -> str:
    """Say what happened to an answer that the order service received but could not handle."""
    key, table = str(saga.order_id), _table_row(step)
    parked = parked_events(key)
    queue = [event for event in parked if table and event[0] == table.topic]
    if queue:
        return _parked(queue, errors)
    lost = not parked and unhandled(key)
    return "the order service could not handle an answer; see its dead letters" if lost else ""


def _parked(queue: Sequence[tuple[str, str, str, int, str]], errors: bool) -> str:
    _, _, state, attempts, error = queue[0]
    what = "a dead letter" if state == "dead" else "parked"
    detail = f": {error}" if errors and error else ""
    behind = f" ({len(queue) - 1} more behind it)" if len(queue) > 1 else ""
    return f"its answer is {what} in the order service after {attempts} attempts{detail}{behind}"


def _our_reading(saga: Saga, step: SagaStep, errors: bool) -> str:
    """Say where the order service's consumer is stopped or behind, in the topic of the step's answers."""
    table = _table_row(step)
    if table is None:
        return ""
    positions = positions_of(answer_group(), table.topic)
    for position in positions:
        if position.stopped_reason is not None:
            detail = f" ({position.stopped_reason})" if errors else ""
            place = f"{table.topic}/{position.partition}"
            return f"the order service's consumer is stopped at {place}{detail}; the answer may be there"
    return _behind(saga, table.topic, {position.partition: position.next_offset for position in positions})


def _behind(saga: Saga, topic: str, here: Mapping[int, int]) -> str:
    # Stored after the deadline: a saga before its deadline has none.
    for (place, partition), end in read_places(saga.guard_offsets or {}).items():
        if place == topic and here.get(partition, 0) < end:
            unread = f"{topic}/{partition} up to {end}"
            return f"the order service has not read {unread} yet; the deadline waits for that"
    return ""


def _their_reading(saga: Saga, step: SagaStep, errors: bool) -> str:
    """Say where the participant was not given the request to read. The sweep of the deadlines asks Kafka for that."""
    table = _table_row(step)
    if table is None or step.status != StepStatus.PENDING:
        return ""
    for partition, end in request_places(saga.guard_offsets).items():
        place = f"{TOPIC}/{partition}"
        waits = f"the deadline waits until {table.service} has read {place} up to {end}"
        foreign = foreign_members([each.group for each in steps.STEPS], place)
        for each in foreign:
            if each.group == table.group:
                names = f" (client id {each.client_id}, host {each.host})" if errors else ""
                return f"a foreign member of {table.service}'s consumer group has {place}{names}; {waits}"
        return "" if foreign else waits
    return ""


def _table_row(step: SagaStep) -> steps.Step | None:
    return next((each for each in steps.STEPS if each.name == step.name), None)


def _sentence(step: SagaStep, why: str) -> str:
    table = _table_row(step)
    service = table.service if table else step.name
    wanted = "its answer" if step.status == StepStatus.PENDING else "its undo answer"
    return f"{step.name}: {why}" if why else f"{step.name}: no answer from {service} yet; the saga waits for {wanted}"
