"""The product service's queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from product_app.models import Product, StockAdjustment


def list_products(*, with_inactive: bool) -> QuerySet[Product]:
    """Return the active products, or all products; the oldest first."""
    products = Product.objects.order_by("id")
    return products if with_inactive else products.filter(active=True)


def list_product_ids(*, size: int = 500) -> Iterator[list[UUID]]:
    """Yield the ids of all products in ascending order, `size` at a time."""
    ids = list(Product.objects.order_by("id").values_list("id", flat=True)[:size])
    while ids:
        yield ids
        ids = list(Product.objects.filter(id__gt=ids[-1]).order_by("id").values_list("id", flat=True)[:size])


def get_product_locked(*, product_id: UUID) -> Product:
    """Return the product, with the lock that an update takes. Product.DoesNotExist."""
    return Product.objects.select_for_update(no_key=True).get(id=product_id)


def list_products_locked(*, product_ids: Sequence[UUID]) -> list[Product]:
    """Return those of the products that exist, locked in id order."""
    return list(Product.objects.select_for_update(no_key=True).filter(id__in=product_ids).order_by("id"))


def find_adjustment(*, actor: str, request_key: str | None) -> StockAdjustment | None:
    """Return the adjustment that this actor made by this request, or None."""
    if request_key is None:
        return None
    return StockAdjustment.objects.filter(actor=actor, request_key=request_key).first()


def with_held(products: QuerySet[Product]) -> QuerySet[Product]:
    """Add `held` to each product: the quantity that orders hold, which is what was received and is not in stock.

    The adjustments of a product are few; the holds of its orders grow with every sale.
    """
    return products.annotate(held=Coalesce(Sum("adjustments__delta"), 0) - F("quantity"))


def list_unbalanced_products() -> list[tuple[UUID, int, int, int]]:
    """Return (id, in stock, held, received) of each product where in stock + held differs from received: never any."""
    received = dict(
        StockAdjustment.objects.order_by()
        .values("product_id")
        .annotate(total=Sum("delta"))
        .values_list("product_id", "total")
    )
    open_holds = Coalesce(Sum("holds__quantity", filter=Q(holds__restored_at=None)), 0)
    rows = Product.objects.annotate(total=open_holds).values_list("id", "quantity", "total")
    return [
        (id_, there, held, received.get(id_, 0)) for id_, there, held in rows if there + held != received.get(id_, 0)
    ]
