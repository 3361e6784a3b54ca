"""The user service's HTTP API. Each view translates HTTP and calls one service."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import AuthenticationFailed, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from user_app import selectors, services, tokens
from user_app.api import serializers, throttles
from user_app.models import User
from webapi.authentication import BearerAuthentication
from webapi.filters import pages_of, refuse_unknown_parameters
from webapi.pagination import Pages
from webapi.problems import Problem
from webapi.serializers import read_body
from webapi.tokens import InvalidToken, read_claims


class AccountAuthentication(BearerAuthentication):
    """Refuses a deactivated account immediately. The other services accept its token until it expires."""

    def authenticate(self, request: Request) -> tuple[Any, str] | None:
        """Return the caller's row and the token. AuthenticationFailed if the account is missing or deactivated."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = selectors.get_active_user(user_id=found[0].id)
        if user is None:
            raise AuthenticationFailed(
                "This account is deactivated; ask staff to reactivate it.", code="account_inactive"
            )
        return user, found[1]


class OpenView(APIView):
    """An endpoint for callers who have no token yet."""

    authentication_classes = ()
    permission_classes = ()


class AccountView(APIView):
    """An endpoint of the caller's own account."""

    authentication_classes = (AccountAuthentication,)


class FailureCountingView(APIView):
    """Keeps the throttles of the request, so that a later failure can be counted."""

    _asked: list[BaseThrottle]

    def get_throttles(self) -> list[BaseThrottle]:
        """Return this request's throttles."""
        self._asked = super().get_throttles()
        return self._asked

    def count_failure(self) -> None:
        """Count this request as a failed attempt."""
        for throttle in self._asked:
            if isinstance(throttle, throttles.FailedSignIns):
                throttle.count_failure()


class UsersView(OpenView):
    """Registration."""

    @extend_schema(
        summary="Register",
        request=serializers.RegistrationSerializer,
        responses={201: serializers.UserSerializer, 409: OpenApiResponse(description="username_taken.")},
    )
    def post(self, request: Request) -> Response:
        """201 with the new user; 409 `username_taken`."""
        given = read_body(serializers.RegistrationSerializer, request)
        try:
            with transaction.atomic():
                user = services.register_user(**given)
        except services.UsernameTaken as error:
            raise Problem(409, "username_taken", "This username is taken; choose another one.") from error
        return Response(serializers.UserSerializer(user).data, status=201)


class TokenView(OpenView, FailureCountingView):
    """Signing in."""

    throttle_classes = (throttles.FailuresPerUsername, throttles.FailuresPerAddress)

    @extend_schema(
        summary="Sign in",
        request=serializers.SignInSerializer,
        responses={200: serializers.TokensSerializer, 401: OpenApiResponse(description="invalid_credentials.")},
    )
    def post(self, request: Request) -> Response:
        """200 with access and refresh token; 401 `invalid_credentials` if the username or the password is wrong."""
        given = read_body(serializers.SignInSerializer, request)
        try:
            signed = services.sign_in(**given)
        except services.SignInRefused as error:
            self.count_failure()
            raise _refused("invalid_credentials", "No active user has this name and password.") from error
        return Response(serializers.TokensSerializer(signed).data)


class RefreshView(OpenView):
    """A new access token for a signed-in user."""

    @extend_schema(
        summary="Refresh",
        request=serializers.RefreshSerializer,
        responses={200: serializers.AccessSerializer, 401: OpenApiResponse(description="The token is not valid.")},
    )
    def post(self, request: Request) -> Response:
        """200 with a new access token; 401 if the refresh token is invalid, or its account or password changed."""
        given = read_body(serializers.RefreshSerializer, request)
        try:
            claims = read_claims(given["refresh"], kind="refresh")
            access, expires_in = services.refresh_access(user_id=claims.user_id, session=claims.session)
        except InvalidToken as error:
            raise _refused(error.code, str(error)) from error
        except services.SignInRefused as error:
            raise _refused("session_ended", "This session has ended; sign in again.") from error
        return Response({"access": access, "expires_in": expires_in})


class MeView(AccountView, FailureCountingView):
    """The caller's own account."""

    throttle_classes = (throttles.FailuresPerAccount,)

    @extend_schema(summary="My account", responses=serializers.UserSerializer)
    def get(self, request: Request) -> Response:
        """200 with the account."""
        return Response(serializers.UserSerializer(request.user).data)

    @extend_schema(
        summary="Change my account", request=serializers.ProfileSerializer, responses=serializers.UserSerializer
    )
    def patch(self, request: Request) -> Response:
        """200 with the account after the change."""
        changes = read_body(serializers.ProfileSerializer, request, instance=request.user, partial=True)
        self._check_current_password(request.user, changes.pop("current_password", None))
        with transaction.atomic():
            user = _change(request.user, changes)
        return Response(serializers.UserSerializer(user).data)

    def _check_current_password(self, user: Any, given: str | None) -> None:
        if given is not None and not user.check_password(given):
            self.count_failure()
            raise ValidationError({"current_password": ["This is not your current password."]})


class PurchasesView(AccountView):
    """The caller's purchase history."""

    @extend_schema(
        summary="My purchases",
        parameters=[OpenApiParameter("page", int), OpenApiParameter("page_size", int)],
        responses=serializers.PurchaseHistorySerializer,
    )
    def get(self, request: Request) -> Response:
        """200 with the number of confirmed orders, the amount spent per currency, and a page of the orders."""
        pages = Pages()
        refuse_unknown_parameters(request, pages_of(pages))
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


def _refused(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": 'Bearer realm="user"'})


def _change(user: User, changes: dict[str, Any]) -> User:
    active = changes.pop("active", None)
    if changes:
        user = services.change_profile(user_id=user.pk, **changes)
    if active is False:
        user = services.set_active(user_id=user.pk, active=False)
    return user
