"""The catalogue: every caller can read it, staff can change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import SAFE_METHODS, AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from product_app import selectors, services
from product_app.api.filters import ProductFilter
from product_app.api.serializers import (
    ProductInput,
    ProductSerializer,
    StockAdjustmentInput,
    StockAdjustmentSerializer,
)
from product_app.domain import InvalidPrice
from product_app.models import IdempotencyKey, Product
from webapi.etags import CHANGED, ETAG, IF_MATCH, check_match, etag_of, wants_match
from webapi.idempotency import KeyReused, answer_once, find_key, key_header
from webapi.permissions import has_role, needs_role
from webapi.problems import Problem
from webapi.roles import EDITS_PRODUCTS
from webapi.serializers import read_body
from webapi.throttles import AnonymousReads, ShowsRateLimit
from webapi.views import StrictView

#: What changes without anybody's edit.
COUNTERS = ("available",)
KEY_HEADER = key_header("A repeated request changes nothing and gets the first answer.")


@contextmanager
def changing() -> Iterator[None]:
    """Open the transaction of a change. A service's refusal becomes a problem response."""
    try:
        with transaction.atomic():
            yield
    except Product.DoesNotExist as error:
        raise NotFound("There is no such product.") from error
    except InvalidPrice as error:
        raise ValidationError({"price": [str(error)]}) from error
    except services.StockBelowZero as error:
        raise Problem(409, "stock_below_zero", str(error)) from error
    except services.RequestKeyReused as error:
        raise KeyReused from error


class OpenCatalogue(ShowsRateLimit):
    """Every caller can read, also without a token. Staff of the catalog changes them and sees inactive ones."""

    serializer_class = ProductSerializer
    throttle_classes = (AnonymousReads,)
    request: Request

    def get_permissions(self) -> list[BasePermission]:
        return [AllowAny()] if self.request.method in SAFE_METHODS else [needs_role(EDITS_PRODUCTS)()]

    def get_queryset(self) -> QuerySet[Product]:
        return selectors.list_products(with_inactive=has_role(self.request.user, EDITS_PRODUCTS))


class ProductsView(OpenCatalogue, StrictView, ListAPIView):
    """The products."""

    filterset_class = ProductFilter

    @extend_schema(request=ProductInput, responses={201: ProductSerializer}, parameters=KEY_HEADER)
    def post(self, request: Request) -> Response:
        """Create a product, without stock."""
        given = read_body(ProductInput, request)
        key = find_key(request)
        with changing():
            made = answer_once(IdempotencyKey, key, lambda: ProductSerializer(services.create_product(**given)).data)
        return Response(made.body, status=201, headers=made.headers)


class ProductView(OpenCatalogue, StrictView, RetrieveAPIView):
    """One product."""

    lookup_url_kwarg = "product_id"

    @extend_schema(parameters=[ETAG])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Show a product."""
        return _tagged(ProductSerializer(self.get_object()).data)

    @extend_schema(
        request=ProductInput(partial=True),
        responses={200: ProductSerializer, 412: CHANGED},
        parameters=[IF_MATCH, ETAG],
    )
    def patch(self, request: Request, product_id: UUID) -> Response:
        """Change the given fields. The version grows if a value changes."""
        given = read_body(ProductInput, request, partial=True)
        with changing():
            if wants_match(request):
                there = selectors.get_product_locked(product_id=product_id)
                check_match(request, ProductSerializer(there).data, counters=COUNTERS)
            product = services.change_product(product_id=product_id, **given)
        return _tagged(ProductSerializer(product).data)


def _tagged(shown: dict[str, Any]) -> Response:
    return Response(shown, headers={"ETag": etag_of(shown, counters=COUNTERS)})


class StockAdjustmentsView(StrictView):
    """The adjustments of a product's stock."""

    permission_classes = [needs_role(EDITS_PRODUCTS)]

    @extend_schema(request=StockAdjustmentInput, responses={201: StockAdjustmentSerializer}, parameters=KEY_HEADER)
    def post(self, request: Request, product_id: UUID) -> Response:
        """Add to the stock, or remove pieces that no order holds."""
        given = read_body(StockAdjustmentInput, request)
        key = find_key(request)
        # The ledger keeps the key for good: it adjusts once, also after the stored answer has left.
        wish = {"product_id": product_id, "actor": str(request.user.id), "request_key": key and key.text, **given}
        with changing():
            made = answer_once(IdempotencyKey, key, lambda: _adjusted(wish))
        return Response(made.body, status=201, headers=made.headers)


def _adjusted(wish: dict[str, Any]) -> dict[str, Any]:
    return StockAdjustmentSerializer(services.adjust_stock(**wish)).data
