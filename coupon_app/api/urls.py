"""Addresses under /api/v1/."""

from django.urls import path

from coupon_app.api import views

urlpatterns = [
    path("campaigns", views.CampaignsView.as_view(), name="campaigns"),
    path("campaigns/<id:campaign_id>", views.CampaignView.as_view(), name="campaign"),
    path("campaigns/<id:campaign_id>/claims", views.CampaignClaimsView.as_view(), name="campaign-claims"),
    path("claims/<id:claim_id>", views.ClaimView.as_view(), name="claim"),
    path("coupons", views.CouponsView.as_view(), name="coupons"),
]
