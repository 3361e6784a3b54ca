"""The catalogue, open to everyone, and its upkeep by staff."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import SAFE_METHODS, AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from product_app import selectors, services
from product_app.api.filters import ProductFilter
from product_app.api.serializers import (
    ProductInput,
    ProductSerializer,
    StockAdjustmentInput,
    StockAdjustmentSerializer,
)
from product_app.domain import InvalidPrice
from product_app.models import Product
from webapi.permissions import IsStaff
from webapi.problems import Problem

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key again adjusts nothing again."
)


@contextmanager
def changing() -> Iterator[None]:
    """Open the transaction of a change; what a service refuses becomes the problem that the caller gets."""
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
        raise Problem(422, "idempotency_key_reused", str(error)) from error


class OpenCatalogue:
    """Everyone reads, without a token too; staff changes, and sees what is not active."""

    serializer_class = ProductSerializer
    request: Request

    def get_permissions(self) -> list[BasePermission]:
        return [AllowAny()] if self.request.method in SAFE_METHODS else [IsStaff()]

    def get_queryset(self) -> QuerySet[Product]:
        return selectors.list_products(with_inactive=bool(getattr(self.request.user, "is_staff", False)))


class ProductsView(OpenCatalogue, ListAPIView):
    """The products."""

    filterset_class = ProductFilter

    @extend_schema(request=ProductInput, responses={201: ProductSerializer})
    def post(self, request: Request) -> Response:
        """Create a product, without stock."""
        given = _valid(ProductInput(data=request.data))
        with changing():
            product = services.create_product(**given)
        return Response(ProductSerializer(product).data, status=201)


class ProductView(OpenCatalogue, RetrieveAPIView):
    """One product."""

    lookup_url_kwarg = "product_id"

    @extend_schema(request=ProductInput(partial=True), responses=ProductSerializer)
    def patch(self, request: Request, product_id: UUID) -> Response:
        """Change what is given; the version grows when something differs."""
        given = _valid(ProductInput(data=request.data, partial=True))
        with changing():
            product = services.change_product(product_id=product_id, **given)
        return Response(ProductSerializer(product).data)


class StockAdjustmentsView(APIView):
    """The ledger of a product's stock."""

    permission_classes = [IsStaff]

    @extend_schema(
        request=StockAdjustmentInput, responses={201: StockAdjustmentSerializer}, parameters=[IDEMPOTENCY_KEY]
    )
    def post(self, request: Request, product_id: UUID) -> Response:
        """Add to the stock, or take from it what no order holds."""
        given = _valid(StockAdjustmentInput(data=request.data))
        with changing():
            adjustment = services.adjust_stock(
                product_id=product_id, actor=str(request.user.id), request_key=_request_key(request), **given
            )
        return Response(StockAdjustmentSerializer(adjustment).data, status=201)


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _request_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > 255:
        raise Problem(400, "idempotency_key_invalid", "An Idempotency-Key has at most 255 characters.")
    return key or None
