"""Refuses a form that was opened before somebody else changed the same row: it would bring the old values back."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.db import connection, models
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

SEEN = "seen"


class FreshForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form that knows which values it was opened with: a hidden field has their digest."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial[SEEN] = self._digest = digest(self._stored())

    def clean(self) -> dict[str, Any]:
        """Refuse the form if a value that it shows has another value by now, and say which."""
        cleaned = super().clean() or {}
        if not constant_time_compare(str(cleaned.pop(SEEN, "")), self._digest):
            raise forms.ValidationError([_STALE, *self._differing()], code="stale")
        return cleaned

    def _stored(self) -> dict[str, Any]:
        # The hash of a password is shown, never written.
        names = [name for name, field in self.fields.items() if name != SEEN and not field.disabled]
        return forms.models.model_to_dict(self.instance, fields=names)

    def _differing(self) -> list[str]:
        names = [name for name in self.changed_data if name != SEEN]
        return [f"{self.fields[name].label or name}: {self.initial.get(name)}" for name in names]


_STALE = _(
    "This was changed after you opened the form, or the form is of an older release. Nothing was saved. Open the page "
    "again and make your change there. Where your form differs, the value is now:"
)


def digest(values: dict[str, Any]) -> str:
    """Return a digest of a form's values. Related rows count by their ids, in any order."""
    plain = {name: _plain(value) for name, value in values.items()}
    text = json.dumps(plain, sort_keys=True, default=str)
    return salted_hmac(__name__, text, algorithm="sha256").hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(str(each.pk) if isinstance(each, models.Model) else str(each) for each in value)
    return value


class RefusesStaleForms(admin.ModelAdmin):  # type: ignore[type-arg]
    """A page that saves only what was changed in its form, and only if the row is as the form showed it."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the row. A POST locks it first, so that it stays as it is compared."""
        found = super().get_object(request, object_id, from_field)
        # Django's page for passwords has no transaction: it writes only the password.
        if found is None or request.method != "POST" or not connection.in_atomic_block:
            return found
        self.model._base_manager.select_for_update(no_key=True).filter(pk=found.pk).first()
        return super().get_object(request, object_id, from_field)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form; that of an existing row knows what it was opened with."""
        if self._is_edited(request, obj):
            kwargs.setdefault("form", type(self.form.__name__, (FreshForm, self.form), {}))
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields, with the hidden one among the first."""
        fieldsets = super().get_fieldsets(request, obj)
        if not self._is_edited(request, obj) or SEEN in flatten_fieldsets(fieldsets):
            return fieldsets
        (title, options), *others = fieldsets
        return [(title, {**options, "fields": [*options["fields"], SEEN]}), *others]

    def _is_edited(self, request: HttpRequest, obj: Any) -> bool:
        return obj is not None and self.has_change_permission(request, obj)
