"""A change form of the admin as a browser opens it and sends it back."""

from __future__ import annotations

from typing import Any

from django.forms.widgets import MultiWidget, Widget
from django.test import Client


def opened(client: Client, page: str) -> dict[str, Any]:
    """Return what the form at `page` sends if nothing is changed in it."""
    form = client.get(page).context["adminform"].form
    values: dict[str, Any] = {}
    for name in (name for name, field in form.fields.items() if not field.disabled):
        values |= _sent(name, form.fields[name].widget, form[name].value())
    # A browser sends nothing for a box that is not ticked.
    return {name: value for name, value in values.items() if value is not None and value is not False}


def _sent(name: str, widget: Widget, value: Any) -> dict[str, Any]:
    # A date and its time are two fields.
    inner = getattr(widget, "widget", widget)
    if isinstance(inner, MultiWidget):
        parts = zip(inner.widgets_names, inner.decompress(value), strict=True)
        return {f"{name}{suffix}": str(part) for suffix, part in parts}
    return {name: value}


def seen(client: Client, page: str) -> dict[str, str]:
    """Return the hidden field alone, which says what the form was opened with."""
    return {"seen": opened(client, page)["seen"]}
