"""The coupon service's HTTP API. Each view makes one service call in a transaction and returns JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from coupon_app import selectors, services
from coupon_app.api.filters import CampaignFilter, CouponFilter
from coupon_app.api.serializers import CampaignSerializer, ClaimSerializer, CouponSerializer, GrantSerializer
from coupon_app.campaigns import Grant, InvalidTerms, Terms
from coupon_app.models import Campaign, Claim, Coupon, IdempotencyKey
from messaging import new_id
from webapi.etags import CHANGED, ETAG, IF_MATCH, check_match, etag_of, wants_match
from webapi.idempotency import Key, KeyReused, answer_once, find_key, key_header
from webapi.permissions import needs_role
from webapi.problems import Problem
from webapi.roles import EDITS_CAMPAIGNS
from webapi.serializers import NoFields, read_body
from webapi.views import StrictView

#: What changes without anybody's edit.
COUNTERS = ("granted",)
KEY_HEADER = key_header("A repeated request makes nothing and gets the first answer.")


@contextmanager
def refusals_as_problems() -> Iterator[None]:
    """Turn the services' refusals into problem responses."""
    try:
        yield
    except InvalidTerms as error:
        raise Problem(422, error.code, str(error), errors={error.field: [str(error)]}) from error
    except services.UserInactive as error:
        raise Problem(403, "user_inactive", str(error)) from error
    except services.GrantRefused as error:
        raise Problem(409, error.status.lower(), str(error)) from error
    except services.GrantIdReused as error:
        raise KeyReused from error


class ReadableByAll(StrictView):
    """GET for every user, anything else for staff who edit campaigns."""

    def get_permissions(self) -> Sequence[BasePermission]:
        """Return who may use this method."""
        return [IsAuthenticated() if self.request.method == "GET" else needs_role(EDITS_CAMPAIGNS)()]


class CampaignsView(ReadableByAll, ListAPIView[Campaign]):
    """List the campaigns."""

    serializer_class = CampaignSerializer
    filterset_class = CampaignFilter

    def get_queryset(self) -> QuerySet[Campaign]:
        """Return the campaigns, the newest first."""
        return selectors.list_campaigns()

    @extend_schema(request=CampaignSerializer, responses={201: CampaignSerializer}, parameters=KEY_HEADER)
    def post(self, request: Request) -> Response:
        """Create a campaign. You cannot change its terms later. Times without a zone are UTC."""
        given = read_body(CampaignSerializer, request)
        given["terms"] = Terms(**{name: given.pop(name) for name in Terms._fields})
        key = find_key(request)
        with refusals_as_problems(), transaction.atomic():
            made = answer_once(IdempotencyKey, key, lambda: _created(given))
        location = reverse("campaign", args=[made.body["id"]])
        return Response(made.body, status.HTTP_201_CREATED, headers={"Location": location, **made.headers})


def _created(given: dict[str, Any]) -> dict[str, Any]:
    return CampaignSerializer(services.create_campaign(**given)).data


class CampaignView(StrictView, RetrieveAPIView[Campaign]):
    """One campaign."""

    serializer_class = CampaignSerializer
    lookup_url_kwarg = "campaign_id"

    def get_queryset(self) -> QuerySet[Campaign]:
        """Return where to look."""
        return selectors.list_campaigns()

    @extend_schema(parameters=[ETAG])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Show a campaign. Its terms never change, and so its ETag does not."""
        shown = CampaignSerializer(self.get_object()).data
        return Response(shown, headers={"ETag": etag_of(shown, counters=COUNTERS)})


class CouponsView(ReadableByAll, ListAPIView[Coupon]):
    """List the caller's own coupons."""

    serializer_class = CouponSerializer
    filterset_class = CouponFilter

    def get_queryset(self) -> QuerySet[Coupon]:
        """Return the caller's coupons, the newest first."""
        if getattr(self, "swagger_fake_view", False):  # drf-spectacular reads the type without a caller
            return Coupon.objects.none()
        return selectors.list_coupons(user_id=self.request.user.id, now=timezone.now()).select_related("campaign")

    @extend_schema(request=GrantSerializer, responses={201: CouponSerializer}, parameters=KEY_HEADER)
    def post(self, request: Request) -> Response:
        """Grant a coupon. It counts towards the campaign's quantity and its limit per user."""
        given = read_body(GrantSerializer, request)
        key = find_key(request)
        wish = Grant(coupon_id=_grant_id(key), granted_by=f"staff {request.user.id}", **given)
        with refusals_as_problems(), transaction.atomic():
            made = answer_once(IdempotencyKey, key, lambda: _shown(_grant(wish)))
        return Response(made.body, status.HTTP_201_CREATED, headers=made.headers)


def _grant(wish: Grant) -> Coupon:
    try:
        return services.grant_coupon(grant=wish, now=timezone.now())
    except services.UnknownCampaign as error:
        raise Problem(422, "unknown_campaign", str(error), errors={"campaign_id": [str(error)]}) from error


def _grant_id(key: Key | None) -> UUID:
    # Made from the key: it grants once, also after the stored answer has left.
    return uuid5(key.user_id, key.text) if key else new_id()


def _shown(coupon: Coupon) -> dict[str, Any]:
    coupons = selectors.with_state(Coupon.objects.select_related("campaign"), now=timezone.now())
    return CouponSerializer(coupons.get(id=coupon.id)).data


class CampaignClaimsView(StrictView):
    """Claims for a coupon of a campaign, first come first served."""

    @extend_schema(request=None, responses={202: ClaimSerializer, 412: CHANGED}, parameters=[*KEY_HEADER, IF_MATCH])
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Claim a coupon. It is decided later: poll the URL in Location until the status is no longer PENDING.

        A claim that is certain to fail is decided at once. While a claim is PENDING, another one is the same claim.
        """
        read_body(NoFields, request)
        _check_terms_seen(request, campaign_id)
        key = find_key(request)
        with refusals_as_problems(), transaction.atomic():
            taken = answer_once(IdempotencyKey, key, lambda: _claim(campaign_id, request.user.id))
        location = reverse("claim", args=[taken.body["id"]])
        return Response(taken.body, status.HTTP_202_ACCEPTED, headers={"Location": location, **taken.headers})


def _check_terms_seen(request: Request, campaign_id: UUID) -> None:
    # No lock: terms never change.
    if wants_match(request) and (campaign := selectors.list_campaigns().filter(id=campaign_id).first()):
        check_match(request, CampaignSerializer(campaign).data, counters=COUNTERS)


def _claim(campaign_id: UUID, user_id: UUID) -> dict[str, Any]:
    try:
        claim = services.request_claim(campaign_id=campaign_id, user_id=user_id, now=timezone.now())
        return ClaimSerializer(claim).data
    except services.UnknownCampaign as error:
        raise Problem(404, "not_found", str(error)) from error


class ClaimView(StrictView, RetrieveAPIView[Claim]):
    """One of the caller's own claims."""

    serializer_class = ClaimSerializer
    lookup_url_kwarg = "claim_id"

    def get_queryset(self) -> QuerySet[Claim]:
        """Return the caller's own claims, so that another user's claim is a 404."""
        if getattr(self, "swagger_fake_view", False):
            return Claim.objects.none()
        return selectors.list_claims(user_id=self.request.user.id)
