"""The order service's HTTP API. Each view opens the transaction, translates HTTP, and calls one service."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from messaging import ReasonMissing
from order_app import selectors, services
from order_app.api.filters import OrderFilter
from order_app.api.serializers import (
    CancelRequestSerializer,
    OrderRequestSerializer,
    OrderSerializer,
    SagaSerializer,
    shown_line,
)
from order_app.domain import MAX_LINES, LineRequest, OrderRefused, OrderRequest, PriceChanged
from order_app.models import IdempotencyKey, Order
from webapi.idempotency import answer_once, key_header, need_key
from webapi.permissions import check_role, has_role
from webapi.problems import Problem
from webapi.roles import CANCELS_ORDERS, SEES_ORDERS
from webapi.serializers import read_body
from webapi.views import StrictView

KEY_HEADER = key_header(
    "Up to 255 characters, new for each order; a repeated request gets the first answer.", required=True
)
REFUSED = OpenApiResponse(
    description="unknown_product, product_inactive, mixed_currencies, unknown_currency, no_lines, too_many_lines, "
    "quantity_out_of_range, total_too_large, price_changed (with `lines`, `total` and `currency` of today), or "
    "idempotency_key_reused."
)

NO_REASON = OpenApiResponse(description="reason_missing: staff must give a reason to cancel another user's order.")


class Orders(StrictView, ListAPIView):
    """Place an order; list orders."""

    serializer_class = OrderSerializer
    filterset_class = OrderFilter
    queryset = Order.objects.none()

    def get_queryset(self) -> QuerySet[Order]:
        """Return the caller's orders; for staff who may see them, all orders."""
        user = self.request.user
        return selectors.list_orders(user_id=None if has_role(user, SEES_ORDERS) else user.id)

    def get(self, request: Request) -> Response:
        """List your orders, newest first. Staff sees the orders of all users."""
        return super().get(request)

    @extend_schema(
        request=OrderRequestSerializer, responses={202: OrderSerializer, 422: REFUSED}, parameters=KEY_HEADER
    )
    def post(self, request: Request) -> Response:
        """Place an order at the shop's prices. It is PENDING until every service has answered: see its saga."""
        key = need_key(request)
        wanted = _order_request(request)
        with transaction.atomic():
            first = answer_once(IdempotencyKey, key, lambda: _place(wanted))
        location = reverse("order", args=[first.body["id"]])
        return Response(first.body, status=202, headers={"Location": location, **first.headers})


class OrderDetail(StrictView):
    """One order."""

    @extend_schema(responses=OrderSerializer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """Show an order."""
        return Response(_body(_get_order(request, order_id)))


class CancelOrder(StrictView):
    """Cancel an order."""

    @extend_schema(request=CancelRequestSerializer, responses={202: OrderSerializer, 422: NO_REASON})
    def post(self, request: Request, order_id: UUID) -> Response:
        """Cancel an order, confirmed or not. Each service undoes its step. A repeated request gets the same answer.

        Operators and supervisors can cancel another user's order; they must give a reason.
        """
        reason = read_body(CancelRequestSerializer, request)["reason"]
        order = _get_order(request, order_id)
        with transaction.atomic():
            if order.user_id == request.user.id:
                services.cancel_order(order_id=order_id, user_id=request.user.id)
            else:
                check_role(request.user, CANCELS_ORDERS)
                _compensate(order_id, actor=str(request.user.id), reason=reason)
        return Response(_body(_get_order(request, order_id)), status=202)


class OrderSaga(StrictView):
    """The saga of an order."""

    @extend_schema(responses=SagaSerializer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """Show the timeline of an order: its steps, what each waits for, and every transition."""
        _get_order(request, order_id)
        return Response(
            SagaSerializer(selectors.get_saga(order_id), context={"staff": has_role(request.user, SEES_ORDERS)}).data
        )


def _place(wanted: OrderRequest) -> dict[str, Any]:
    try:
        return _body(services.place_order(request=wanted))
    except OrderRefused as refusal:
        status = 403 if isinstance(refusal, services.UserInactive) else 422
        raise Problem(status, refusal.code, refusal.detail, **_today(refusal)) from refusal


def _today(refusal: OrderRefused) -> dict[str, Any]:
    if not isinstance(refusal, PriceChanged):
        return {}
    draft = refusal.draft
    lines = [shown_line(line, draft.currency) for line in draft.lines]
    return {"lines": lines, "total": str(draft.total), "currency": draft.currency}


def _body(order: Order | services.PlacedOrder) -> dict[str, Any]:
    return OrderSerializer().to_representation(order)


def _get_order(request: Request, order_id: UUID) -> Order:
    own = None if has_role(request.user, SEES_ORDERS) else request.user.id
    order = selectors.list_orders(user_id=own).filter(id=order_id).first()
    if order is None:
        raise Problem(404, "not_found", "There is no such order.")
    return order


def _compensate(order_id: UUID, *, actor: str, reason: str) -> None:
    try:
        services.compensate(order_ids=[order_id], actor=actor, reason=reason)
    except ReasonMissing as missing:
        raise Problem(422, "reason_missing", "Give a reason to cancel another user's order.") from missing


def _order_request(request: Request) -> OrderRequest:
    if isinstance(request.data, dict):
        _refuse_too_many_lines(request.data.get("lines"))
    validated = read_body(OrderRequestSerializer, request)
    lines = tuple(LineRequest(line["product_id"], line["quantity"]) for line in validated["lines"])
    expected = validated["expected_total"], validated["expected_currency"]
    return OrderRequest(request.user.id, lines, validated["coupon_id"], *expected)


def _refuse_too_many_lines(lines: Any) -> None:
    # Count the lines before validating each one, so that too many lines cost no work.
    if isinstance(lines, list) and len(lines) > MAX_LINES:
        raise Problem(422, "too_many_lines", f"An order has at most {MAX_LINES} lines; this one has {len(lines)}.")
