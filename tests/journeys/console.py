"""A service's admin as operators use it in a browser: signed in by a form, acting by forms."""

from __future__ import annotations

from collections.abc import Mapping

import requests

#: Signing in hashes a password a million times: long on a busy machine.
ANSWER_SECONDS = 60.0


class Console:
    """An operator before the admin of one service."""

    def __init__(self, variables: Mapping[str, str], service: str) -> None:
        self._admin = f"{variables[f'{service.upper()}_URL']}/admin"
        self._http = requests.Session()
        self.get("/login/")
        names = {"username": variables["OPERATOR_USERNAME"], "password": variables["OPERATOR_PASSWORD"]}
        self.post("/login/", names | {"next": "/admin/"})
        assert self.get("/").url.endswith("/admin/"), "the operator can't sign in"

    def get(self, path: str) -> requests.Response:
        """Open a page."""
        return self._http.get(self._admin + path, timeout=ANSWER_SECONDS)

    def post(self, path: str, form: Mapping[str, str]) -> requests.Response:
        """Send a form."""
        token = next(value for name, value in self._http.cookies.items() if name.endswith("_csrf"))
        return self._http.post(self._admin + path, {**form, "csrfmiddlewaretoken": token}, timeout=ANSWER_SECONDS)

    def act(self, model: str, action: str, row: str, reason: str) -> str:
        """Do something to a row, with a reason; return the page that tells the result."""
        form = {"action": action, "_selected_action": row, "confirmed": "yes", "reason": reason}
        answer = self.post(f"/{model}/", form)
        assert answer.ok, f"{action} answered {answer.status_code}"
        return answer.text
