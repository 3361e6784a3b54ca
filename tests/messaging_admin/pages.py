"""The pages as an operator uses them: what is posted is what the page before held."""

from __future__ import annotations

import re
from html import unescape

from django.test import Client

LETTERS = "/admin/messaging/deadletterrow/"
KEYS = "/admin/messaging/parkedkey/"
PAUSES = "/admin/messaging/pause/"
ACTIONS = "/admin/messaging/operatoraction/"


def page(client: Client, address: str, **query: str) -> str:
    """Return a page that has to open."""
    answer = client.get(address, query)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def hidden(text: str) -> dict[str, str]:
    """Return the hidden fields of the page's last form that has `targets`."""
    form = next(each for each in re.findall(r"<form.*?</form>", text, re.S)[::-1] if 'name="targets"' in each)
    inputs = re.findall(r'<input type="hidden" name="(\w+)" value="(.*?)">', form)
    return {name: unescape(value) for name, value in inputs}


def choose(client: Client, address: str, verb: str, *ids: int) -> dict[str, str]:
    """Choose an action for a selection in a list, and return what the confirmation holds."""
    answer = client.post(address, {"action": verb, "_selected_action": [str(each) for each in ids]})
    assert answer.status_code == 200
    return hidden(answer.content.decode())


def confirm(client: Client, address: str, fields: dict[str, str], reason: str = "a test") -> str:
    """Give the reason, and return the page that follows with its messages."""
    answer = client.post(f"{address}act/", {**fields, "reason": reason}, follow=True)
    assert answer.status_code == 200
    return unescape(answer.content.decode())
