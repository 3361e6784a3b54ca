"""The form for editing a dead letter: its value, its headers one a line, and why."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy as _

from messaging.admin.rendering import as_text
from messaging.admin.stale_forms import digest
from messaging.audit_log import ActionResult, Target
from messaging.kafka.records import RawRecord
from messaging.operations import actions


class EditForm(forms.Form):
    """What an operator may make of a record; the id and the key stay."""

    value = forms.CharField(
        label=_("Value (JSON)"), required=False, strip=False, widget=forms.Textarea(attrs={"rows": 18, "cols": 100})
    )
    headers = forms.CharField(
        label=_("Headers"),
        required=False,
        help_text=_("One header on each line, as name: value. If you remove a line, its header does not change."),
        widget=forms.Textarea(attrs={"rows": 9, "cols": 100}),
    )
    reason = forms.CharField(
        label=_("Reason (stored in the audit log)"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 100}),
    )

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, record: RawRecord, data: Any = None) -> None:
        self._value, self._headers = as_text(record.value), headers_of(record)
        lines = "\n".join(f"{name}: {text}" for name, text in self._headers.items())
        shown = {"value": self._value, "headers": lines}
        self._digest = digest(shown)
        super().__init__(data, initial={**shown, "seen": self._digest})

    def clean(self) -> dict[str, Any]:
        """Refuse the form if another operator has edited the record since it was opened."""
        if not constant_time_compare(str(self.cleaned_data.pop("seen", "")), self._digest):
            raise forms.ValidationError(
                _("This record was edited after you opened the form. Nothing was retried. Open it again."), code="stale"
            )
        return self.cleaned_data

    def clean_headers(self) -> dict[str, str]:
        """Return the headers that are not as they were."""
        pairs = [line.partition(":") for line in self.cleaned_data["headers"].splitlines() if line.strip()]
        if any(not name.strip() or not colon for name, colon, _ in pairs):
            raise forms.ValidationError(_("Each line needs a name, a colon and a value."))
        new = {name.strip(): text.strip() for name, _, text in pairs}
        return {name: text for name, text in new.items() if self._headers.get(name) != text}

    def clean_value(self) -> bytes | None:
        """Return the new value; None when it is as it was."""
        text = str(self.cleaned_data["value"]).replace("\r\n", "\n")
        return None if text == self._value else text.encode()

    def retry(self, target: Target, *, actor: str) -> ActionResult:
        """Retry the dead letter as it was edited."""
        cleaned = self.cleaned_data
        return actions.edit_and_retry(
            target, value=cleaned["value"], headers=cleaned["headers"], actor=actor, reason=cleaned["reason"]
        )


def headers_of(record: RawRecord) -> dict[str, str]:
    """Return the headers as text, the first of each name."""
    found: dict[str, str] = {}
    for name, value in record.headers:
        found.setdefault(name, (value or b"").decode(errors="replace").strip())
    return found
