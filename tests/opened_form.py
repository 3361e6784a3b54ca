"""A change form of the admin as a browser opens it and sends it back."""

from __future__ import annotations

from typing import Any

from django.test import Client


def opened(client: Client, page: str) -> dict[str, Any]:
    """Return what the form at `page` sends if nothing is changed in it."""
    form = client.get(page).context["adminform"].form
    values = {name: form[name].value() for name in form.fields if not form.fields[name].disabled}
    # A browser sends nothing for a box that is not ticked.
    return {name: value for name, value in values.items() if value is not None and value is not False}


def seen(client: Client, page: str) -> dict[str, str]:
    """Return the hidden field alone, which says what the form was opened with."""
    return {"seen": opened(client, page)["seen"]}
