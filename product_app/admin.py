"""The operators' view of the product service. Stock changes only by adjustments; the rows of orders are read-only."""

from __future__ import annotations

from typing import Any
from uuid import uuid5

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from messaging import new_id
from messaging.admin import AppendOnlyAdmin, ReadOnly, ReadOnlyAdmin, RefusesStaleForms, SearchByIds
from money import stored
from product_app import selectors, services
from product_app.models import IdempotencyKey, Product, StockAdjustment, StockDecision, StockHold


class AdjustmentInline(ReadOnly, admin.TabularInline):
    model = StockAdjustment
    fields = readonly_fields = ["at", "delta", "reason", "actor"]
    ordering = ["-id"]


@admin.register(Product)
class ProductAdmin(RefusesStaleForms):
    list_display = ["name", "shown_price", "currency", "quantity", "held", "active", "version"]
    list_filter = ["active", ("currency", admin.AllValuesFieldListFilter)]
    search_fields = ["name", "=id"]
    readonly_fields = ["id", "version", "quantity", "held", "adjust"]
    ordering = ["-id"]
    inlines = [AdjustmentInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        return selectors.with_held(super().get_queryset(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Product, form: forms.ModelForm, change: bool) -> None:
        written = ("name", "price", "currency", "active")
        given = {name: form.cleaned_data[name] for name in written if not change or name in form.changed_data}
        saved = services.change_product(product_id=obj.id, **given) if change else services.create_product(**given)
        obj.id = saved.id

    @admin.display(description=_("price"), ordering="price")
    def shown_price(self, product: Product) -> str:
        return str(stored(product.price, product.currency))

    @admin.display(description=_("held for orders"), ordering="held")
    def held(self, product: Product) -> int:
        return getattr(product, "held", 0)

    @admin.display(description=_("stock"))
    def adjust(self, product: Product) -> str:
        if product._state.adding:
            return "-"
        address = reverse("admin:product_app_stockadjustment_add")
        return format_html('<a href="{}?product={}">{}</a>', address, product.id, _("Adjust the stock"))


class AdjustmentForm(forms.ModelForm):
    """The form creates `request_key`, so sending the form twice adjusts once."""

    request_key = forms.CharField(widget=forms.HiddenInput, max_length=255, initial=new_id)

    class Meta:
        model = StockAdjustment
        fields = ["product", "delta", "reason"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("delta") == 0:
            raise ValidationError({"delta": _("The change must not be zero.")})
        if self.errors:
            return cleaned
        try:
            # The admin opened the transaction, so the lock lasts until the adjustment is saved.
            product = selectors.get_product_locked(product_id=cleaned["product"].id)
            services.check_adjustment(product=product, delta=cleaned["delta"])
        except services.StockBelowZero as error:
            raise ValidationError({"delta": str(error)}) from error
        return cleaned


@admin.register(StockAdjustment)
class StockAdjustmentAdmin(AppendOnlyAdmin):
    form = AdjustmentForm
    list_display = ["at", "product", "delta", "reason", "actor"]
    list_filter = ["at"]
    list_select_related = ["product"]
    search_fields = ["product__name", "reason", "actor"]
    autocomplete_fields = ["product"]
    ordering = ["-id"]

    def save_model(self, request: HttpRequest, obj: StockAdjustment, form: forms.ModelForm, change: bool) -> None:
        given = form.cleaned_data
        saved = services.adjust_stock(
            product_id=given["product"].id,
            delta=given["delta"],
            reason=given["reason"],
            actor=request.user.get_username(),
            # The same form sent twice is one request. Other values, sent after "back", are another request.
            request_key=str(uuid5(given["product"].id, "{request_key} {delta} {reason}".format(**given))),
        )
        obj.id = saved.id


class HoldInline(ReadOnly, admin.TabularInline):
    model = StockHold
    fields = ["product", "quantity", "restored_at"]


class ByOrder(SearchByIds, ReadOnlyAdmin):
    """The search takes only the order's id: the table grows with every order, and only this column has an index."""

    id_fields = ("order_id",)
    search_help_text = _("The id of an order")


@admin.register(StockDecision)
class StockDecisionAdmin(ByOrder):
    list_display = ["order_id", "decision", "reason", "detail", "at"]
    list_filter = ["decision", "reason"]
    ordering = ["-order_id"]
    inlines = [HoldInline]


@admin.register(StockHold)
class StockHoldAdmin(ByOrder):
    id_fields = ("decision_id",)
    list_display = ["decision_id", "product", "quantity", "restored_at"]
    list_filter = [("restored_at", admin.EmptyFieldListFilter)]
    list_select_related = ["product"]
    ordering = ["-id"]


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(SearchByIds, ReadOnlyAdmin):
    """The first answer to each request that has an Idempotency-Key."""

    list_display = ("key", "user_id", "target", "created_at")
    id_fields = ("user_id",)
