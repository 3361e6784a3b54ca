"""Forms of the admin."""

from __future__ import annotations

from typing import Any

from django import forms

from coupon_app.campaigns import InvalidTerms, Terms, check_terms
from coupon_app.models import Campaign
from messaging import new_id


class CampaignForm(forms.ModelForm):
    """The fields of a new campaign."""

    class Meta:
        model = Campaign
        fields = ("name", "kind", "value", "currency", *Terms._fields[3:], "quantity", "per_user_limit")

    def clean(self) -> dict[str, Any]:
        """Check the terms by the service's own rules."""
        data = super().clean() or self.cleaned_data
        data["currency"] = data.get("currency") or None
        if set(Terms._fields) <= data.keys():
            try:
                check_terms(Terms(**{name: data[name] for name in Terms._fields}))
            except InvalidTerms as error:
                self.add_error(error.field, str(error))
        return data

    def offer(self) -> dict[str, Any]:
        """Return the clean data as create_campaign() takes it."""
        data = dict(self.cleaned_data)
        return {"terms": Terms(**{name: data.pop(name) for name in Terms._fields}), **data}


class GrantForm(forms.Form):
    """Who gets a coupon, and why. The form creates `coupon_id`, so sending the form twice grants one coupon."""

    user_id = forms.UUIDField(label="User id")
    reason = forms.CharField(max_length=500)
    coupon_id = forms.UUIDField(widget=forms.HiddenInput, initial=new_id)
