"""The coupon service's admin. Staff creates campaigns and grants coupons; everything else is read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html

from coupon_app import selectors, services
from coupon_app.admin_forms import CampaignForm, GrantForm
from coupon_app.campaigns import Grant
from coupon_app.domain import CouponStatus
from coupon_app.models import Campaign, Claim, Coupon, CouponDecision, IdempotencyKey, UserCopy
from messaging.admin import AppendOnlyAdmin, ReadOnlyAdmin, SearchByIds


@admin.register(Campaign)
class CampaignAdmin(SearchByIds, AppendOnlyAdmin):
    """Campaigns. Staff can create them and grant coupons, but not edit them: users rely on their terms."""

    form = CampaignForm
    list_display = (
        "name",
        "kind",
        "value",
        "currency",
        "valid_from",
        "valid_until",
        "quantity",
        "granted",
        "grant_link",
    )
    list_filter = ("kind", "currency", "valid_from", "valid_until")
    text_fields = ("name",)
    date_hierarchy = "created_at"
    readonly_fields = ("id", "granted", "created_at", "grant_link")

    def get_fields(self, request: HttpRequest, obj: Campaign | None = None) -> tuple[str, ...]:
        """Return the fields of the form; an existing campaign also shows its id, counter and times."""
        return CampaignForm.Meta.fields if obj is None else (*CampaignForm.Meta.fields, *self.readonly_fields)

    def save_model(self, request: HttpRequest, obj: Campaign, form: CampaignForm, change: bool) -> None:
        """Create the campaign through the service. `obj` gets its identity, for the admin's log."""
        with transaction.atomic():
            created = services.create_campaign(**form.offer())
        obj.pk, obj.created_at, obj._state.adding = created.pk, created.created_at, False

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's URLs and the URL of the grant form."""
        grant = path(
            "<id:campaign_id>/grant/", self.admin_site.admin_view(self.grant), name="coupon_app_campaign_grant"
        )
        return [grant, *super().get_urls()]

    @admin.display(description="Grant")
    def grant_link(self, campaign: Campaign) -> str:
        """Return a link to the grant form."""
        return format_html('<a href="{}">Grant…</a>', reverse("admin:coupon_app_campaign_grant", args=[campaign.pk]))

    def grant(self, request: HttpRequest, campaign_id: Any) -> HttpResponse:
        """Show and process the form that grants one user a coupon, with a reason."""
        campaign = self.get_object(request, str(campaign_id))
        if campaign is None or not request.user.has_perm("coupon_app.add_coupon"):
            return HttpResponseRedirect(reverse("admin:coupon_app_campaign_changelist"))
        form = GrantForm(request.POST or None)
        if form.is_valid() and self._granted(request, campaign, form):
            return HttpResponseRedirect(reverse("admin:coupon_app_campaign_change", args=[campaign.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Grant: {campaign}",
            "form": form,
        }
        return TemplateResponse(request, "coupon_app/grant.html", context)

    def _granted(self, request: HttpRequest, campaign: Campaign, form: GrantForm) -> bool:
        actor = f"admin {request.user.get_username()}"
        try:
            with transaction.atomic():
                wish = Grant(campaign_id=campaign.pk, granted_by=actor, **form.cleaned_data)
                coupon = services.grant_coupon(grant=wish, now=timezone.now())
                self.log_change(request, campaign, f"Granted {coupon} to {coupon.user_id}: {coupon.grant_reason}")
        except (services.GrantRefused, services.UserInactive, services.GrantIdReused) as error:
            form.add_error(None, str(error))
            return False
        messages.success(request, f"Coupon {coupon} granted to {coupon.user_id}.")
        return True


@admin.register(Coupon)
class CouponAdmin(SearchByIds, ReadOnlyAdmin):
    """Coupons, with their owners and the orders that use them."""

    list_display = ("id", "campaign", "user_id", "state", "order_id", "granted_by", "granted_at")
    list_filter = ("status", "campaign", "granted_at")
    list_select_related = ("campaign",)
    text_fields = ("campaign__name", "granted_by")
    id_fields = ("id", "user_id", "order_id")
    date_hierarchy = "granted_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Coupon]:
        """Return the coupons with their current status."""
        return selectors.with_state(super().get_queryset(request), now=timezone.now())

    @admin.display(description="status", ordering="state")
    def state(self, coupon: Any) -> CouponStatus:
        """Return AVAILABLE, USED or EXPIRED."""
        return coupon.state


@admin.register(CouponDecision)
class CouponDecisionAdmin(SearchByIds, ReadOnlyAdmin):
    """The final decision for each order."""

    list_display = ("order_id", "decision", "reason", "coupon_id", "discount", "currency", "at")
    list_filter = ("decision", "reason", "currency", "at")
    text_fields = ("reason",)
    id_fields = ("order_id", "coupon_id")


@admin.register(Claim)
class ClaimAdmin(SearchByIds, ReadOnlyAdmin):
    """Claims and their results."""

    list_display = ("id", "campaign", "user_id", "status", "coupon_id", "requested_at", "decided_at")
    list_filter = ("status", "campaign", "requested_at")
    list_select_related = ("campaign",)
    text_fields = ("campaign__name",)
    id_fields = ("id", "user_id", "coupon_id")


@admin.register(UserCopy)
class UserCopyAdmin(SearchByIds, ReadOnlyAdmin):
    """The coupon service's copies of users."""

    list_display = ("user_id", "version", "active")
    list_filter = ("active",)
    text_fields = ("version",)
    id_fields = ("user_id",)


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(SearchByIds, ReadOnlyAdmin):
    """The first answer to each request that has an Idempotency-Key."""

    list_display = ("key", "user_id", "target", "created_at")
    id_fields = ("user_id",)
