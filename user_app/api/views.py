"""The user service's HTTP API. Each view translates HTTP and calls one service."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from user_app import selectors, services, tokens
from user_app.api import serializers
from user_app.api.base import AccountView, OpenView
from user_app.models import IdempotencyKey, User
from webapi import limits
from webapi.etags import CHANGED, ETAG, IF_MATCH, check_match, etag_of, wants_match
from webapi.filters import pages_of
from webapi.idempotency import answer_once, find_key, key_header
from webapi.limits import Limit
from webapi.pagination import Pages
from webapi.problems import Problem
from webapi.serializers import read_body
from webapi.sign_in_limits import WRONG_PASSWORDS

KEY_HEADER = key_header(
    "Use a random one, such as a UUID: keys sent without a token share one space. A repeated request registers once."
)


class UsersView(OpenView):
    """Registration."""

    @extend_schema(
        summary="Register",
        request=serializers.RegistrationSerializer,
        responses={201: serializers.UserSerializer, 409: OpenApiResponse(description="username_taken.")},
        parameters=KEY_HEADER,
    )
    def post(self, request: Request) -> Response:
        """201 with the new user; 409 `username_taken`."""
        limits.take([(_registrations(), limits.hashed(limits.address_of(request)))])
        given = read_body(serializers.RegistrationSerializer, request)
        key = find_key(request)
        try:
            with transaction.atomic():
                made = answer_once(IdempotencyKey, key, lambda: _registered(given))
        except services.UsernameTaken as error:
            raise Problem(409, "username_taken", "This username is taken; choose another one.") from error
        return Response(made.body, status=201, headers=made.headers)


class MeView(AccountView):
    """The caller's own account."""

    @extend_schema(summary="My account", responses=serializers.UserSerializer, parameters=[ETAG])
    def get(self, request: Request) -> Response:
        """200 with the account."""
        return _tagged(request.user)

    @extend_schema(
        summary="Change my account",
        request=serializers.ProfileSerializer,
        responses={200: serializers.UserSerializer, 412: CHANGED},
        parameters=[IF_MATCH, ETAG],
    )
    def patch(self, request: Request) -> Response:
        """200 with the account after the change."""
        changes = read_body(serializers.ProfileSerializer, request, instance=request.user, partial=True)
        _check_current_password(request.user, changes.pop("current_password", None))
        with transaction.atomic():
            if wants_match(request):
                there = services.lock_user(user_id=request.user.pk)
                check_match(request, serializers.UserSerializer(there).data)
            user = _change(request.user, changes)
        return _tagged(user)


class PurchasesView(AccountView):
    """The caller's purchase history."""

    def known_parameters(self) -> list[str]:
        """Return the parameters of a page."""
        return pages_of(Pages())

    @extend_schema(
        summary="My purchases",
        parameters=[OpenApiParameter("page", int), OpenApiParameter("page_size", int)],
        responses=serializers.PurchaseHistorySerializer,
    )
    def get(self, request: Request) -> Response:
        """200 with the number of confirmed orders, the amount spent per currency, and a page of the orders."""
        pages = Pages()
        page = pages.paginate_queryset(selectors.list_purchases(user_id=request.user.pk), request, view=self)
        response = pages.get_paginated_response(serializers.PurchaseSerializer(page, many=True).data)
        spent = {currency: str(amount) for currency, amount in selectors.get_spent(user_id=request.user.pk).items()}
        response.data = {"orders": response.data["count"], "spent": spent, **response.data}
        return response


@require_safe
@cache_control(public=True, max_age=300)
def jwks(request: HttpRequest) -> JsonResponse:
    """GET /.well-known/jwks.json: the public keys that verify the user service's tokens."""
    return JsonResponse(tokens.own_jwks(), content_type="application/jwk-set+json")


def _registrations() -> Limit:
    return Limit("registrations", settings.REGISTRATIONS_PER_MINUTE)


def _check_current_password(user: Any, given: str | None) -> None:
    if given is None:
        return
    with limits.counting([(WRONG_PASSWORDS, str(user.pk))], ValidationError):
        if not user.check_password(given):
            raise ValidationError({"current_password": ["This is not your current password."]})


def _change(user: User, changes: dict[str, Any]) -> User:
    active = changes.pop("active", None)
    if changes:
        user = services.change_profile(user_id=user.pk, **changes)
    if active is False:
        user = services.set_active(user_id=user.pk, active=False)
    return user


def _registered(given: dict[str, Any]) -> dict[str, Any]:
    return serializers.UserSerializer(services.register_user(**given)).data


def _tagged(user: User) -> Response:
    shown = serializers.UserSerializer(user).data
    return Response(shown, headers={"ETag": etag_of(shown)})
