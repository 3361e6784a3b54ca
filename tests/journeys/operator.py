"""An operator in a browser: signs in to a service's admin, and does there what its pages offer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import unescape

import requests

SECONDS = 15.0
LETTERS = "messaging/deadletterrow/"


class Operator:
    """A browser session in one service's admin."""

    def __init__(self, variables: Mapping[str, str], service: str) -> None:
        self.admin = f"{variables[f'{service.upper()}_URL']}/admin/"
        self.http = requests.Session()
        name, password = variables["OPERATOR_USERNAME"], variables["OPERATOR_PASSWORD"]
        self.post("login/", username=name, password=password, next="/admin/")

    def page(self, path: str) -> str:
        """Return a page of the admin, which has to open."""
        answer = self.http.get(self.admin + path, timeout=SECONDS)
        assert answer.ok, f"{path} answered {answer.status_code}"
        return unescape(answer.text)

    def post(self, path: str, **fields: str) -> str:
        """Post a form with the token of a page, and return the page that follows."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page("login/" if path == "login/" else ""))
        assert token, "the page has no form"
        form = {**fields, "csrfmiddlewaretoken": token[1]}
        answer = self.http.post(self.admin + path, form, headers={"Referer": self.admin}, timeout=SECONDS)
        assert answer.ok, f"{path} answered {answer.status_code}: {answer.text[:300]}"
        return unescape(answer.text)

    def skip(self, event_id: str, handler: str, reason: str) -> str:
        """Skip a dead letter, with the reason, and return the page that tells what became of it."""
        chosen = {"verb": "skip", "targets": json.dumps([[event_id, handler]])}
        assert 'name="reason"' in self.post(f"{LETTERS}act/", **chosen)
        return self.post(f"{LETTERS}act/", **chosen, confirmed="yes", reason=reason)
