"""The product service's changes of data. The caller (an entry point) must open the transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal as Amount
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from contracts.product import ProductChanged, StockLine, StockReduced, StockReduceFailed, StockRestored
from messaging import Context, Event, publish, publish_all
from money import stored
from product_app import selectors, sql
from product_app.domain import (
    OrderDecision,
    Reason,
    Request,
    Stock,
    answer,
    check_price,
    likely_decision,
)
from product_app.models import Product, StockAdjustment
from saga.participant import Answer, Decision, Incoming


class StockBelowZero(Exception):
    """The adjustment would remove more than is in stock. Pieces that orders hold cannot be removed."""


class RequestKeyReused(Exception):
    """The caller already used this request key for another adjustment."""


def answer_order_events(*, requests: Sequence[tuple[Request, Context | None]]) -> None:
    """Answer the orders' requests in the order of the list. Each answer names the event that caused it.

    Either all lines of an order are held, or none. Later orders of the list get what earlier ones left.
    InvalidLines if a request takes stock and its lines are invalid.
    """
    now = timezone.now()
    likely = _likely_decisions(requests)
    new = sql.insert_decisions(likely, now)
    stored = sql.lock_decisions(likely.keys() - new)
    before = {order_id: (row.decision, row.refusal) for order_id, row in (likely | stored).items()}
    orders = {order_id: OrderDecision() for order_id in new} | stored
    shelf = sql.lock_products(_products_touched(requests, new, stored))
    quantities = {product_id: stock.quantity for product_id, stock in shelf.items()}

    answers = [(_answer(request, orders[request.order_id], shelf), cause) for request, cause in requests]

    changed = {order_id: row for order_id, row in orders.items() if (row.decision, row.refusal) != before[order_id]}
    sql.update_decisions(changed)
    sql.insert_holds({order_id: orders[order_id] for order_id in new}, now)
    sql.restore_holds([order_id for order_id in stored if order_id in changed], now)
    sql.update_quantities({id_: stock.quantity for id_, stock in shelf.items() if stock.quantity != quantities[id_]})
    publish_all(answers)


def _likely_decisions(requests: Sequence[tuple[Request, Context | None]]) -> dict[UUID, OrderDecision]:
    """Return the most likely decisions. They are inserted first, so that few rows need a second write."""
    likely: dict[UUID, OrderDecision] = {}
    for request, _ in requests:
        if request.order_id not in likely:
            likely[request.order_id] = likely_decision(request.incoming)
    return likely


def _products_touched(
    requests: Sequence[tuple[Request, Context | None]], new: Collection[UUID], stored: Mapping[UUID, OrderDecision]
) -> set[UUID]:
    asked = {
        product_id
        for request, _ in requests
        if request.order_id in new and request.incoming is Incoming.CREATED
        for product_id, _ in request.lines
    }
    held = {product_id for row in stored.values() if row.decision is Decision.HELD for product_id in row.holds}
    return asked | held


def _answer(request: Request, order: OrderDecision, shelf: dict[UUID, Stock]) -> Event:
    order_id = request.order_id
    match answer(request, order, shelf):
        case Answer.TAKEN:
            lines = tuple(StockLine(product_id=id_, quantity=quantity) for id_, quantity in order.holds.items())
            return StockReduced(order_id=order_id, lines=lines)
        case Answer.REFUSED if order.refusal:
            return StockReduceFailed(order_id=order_id, reason=order.refusal.reason.value, detail=order.refusal.detail)
        case Answer.RESTORED:
            return StockRestored(order_id=order_id, restored=True)
        case Answer.NOT_RESTORED:
            return StockRestored(order_id=order_id, restored=False)
        case _:
            return StockReduceFailed(order_id=order_id, reason=Reason.ORDER_CANCELED.value)


def create_product(*, name: str, price: Amount, currency: str, active: bool = True) -> Product:
    """Create a product without stock and publish it. InvalidPrice if the price is not valid in `currency`."""
    check_price(price, currency)
    product = Product.objects.create(name=name, price=price, currency=currency, active=active)
    publish(_product_changed(product))
    return product


def change_product(
    *,
    product_id: UUID,
    name: str | None = None,
    price: Amount | None = None,
    currency: str | None = None,
    active: bool | None = None,
) -> Product:
    """Change the given values and publish the next version. If no value differs, nothing is published.

    Product.DoesNotExist; InvalidPrice if the price is not valid in the currency.
    """
    product = selectors.get_product_locked(product_id=product_id)
    given = {"name": name, "price": price, "currency": currency, "active": active}
    changes = {each: value for each, value in given.items() if value not in (None, getattr(product, each))}
    if not changes:
        return product
    for each, value in changes.items():
        setattr(product, each, value)
    check_price(product.price, product.currency)
    product.version += 1
    product.save(update_fields=[*changes, "version"])
    publish(_product_changed(product))
    return product


def announce_products(*, product_ids: Sequence[UUID], raise_versions: bool = False) -> int:
    """Publish these products again; return how many exist.

    With their current version, which a copy that has it ignores; `raise_versions` gives each the next one first.
    """
    products = selectors.list_products_locked(product_ids=product_ids)
    if raise_versions:
        Product.objects.filter(id__in=[product.id for product in products]).update(version=F("version") + 1)
        for product in products:
            product.version += 1
    publish_all((_product_changed(product), None) for product in products)
    return len(products)


def _product_changed(product: Product) -> ProductChanged:
    return ProductChanged(
        product_id=product.id,
        version=product.version,
        name=product.name,
        price=stored(product.price, product.currency),
        currency=product.currency,
        active=product.active,
    )


def adjust_stock(
    *, product_id: UUID, delta: int, reason: str, actor: str, request_key: str | None = None
) -> StockAdjustment:
    """Add `delta` pieces (below zero: remove) and record the adjustment; its `.product` has the new quantity.

    If the same actor repeats a `request_key`, nothing changes.
    Product.DoesNotExist, StockBelowZero, RequestKeyReused.
    """
    product = selectors.get_product_locked(product_id=product_id)
    earlier = selectors.find_adjustment(actor=actor, request_key=request_key)
    if earlier is not None:
        return _same_request(earlier, product, delta, reason)
    check_adjustment(product=product, delta=delta)
    product.quantity += delta
    product.save(update_fields=["quantity"])
    try:
        with transaction.atomic():
            return StockAdjustment.objects.create(
                product=product, delta=delta, reason=reason, actor=actor, request_key=request_key
            )
    except IntegrityError as error:  # the key was used at the same moment for another product, whose lock differs
        raise _key_reused() from error


def check_adjustment(*, product: Product, delta: int) -> None:
    """Raise StockBelowZero, with the current stock, if `delta` would remove more."""
    if product.quantity + delta < 0:
        raise StockBelowZero(f"{product.name} has {product.quantity} in stock, so {-delta} cannot be removed.")


def _same_request(earlier: StockAdjustment, product: Product, delta: int, reason: str) -> StockAdjustment:
    if (earlier.product_id, earlier.delta, earlier.reason) != (product.id, delta, reason):
        raise _key_reused()
    earlier.product = product
    return earlier


def _key_reused() -> RequestKeyReused:
    return RequestKeyReused("This request key was used for another adjustment; use a new one.")
