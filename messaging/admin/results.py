"""The results of an operator's action as messages on the next page."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from messaging.audit_log import ActionResult

#: Results that the page shows; the audit log has all of them.
SHOWN_RESULTS = 10
LEVELS = {"done": messages.SUCCESS, "unchanged": messages.INFO}


def show_results(request: HttpRequest, results: Sequence[ActionResult]) -> None:
    """Show the operator what became of each target; of many, first those that were not done."""
    worst_first = sorted(results, key=lambda result: result.outcome in LEVELS)
    for result in worst_first[:SHOWN_RESULTS]:
        name = " ".join(part for part in result.target if part)
        text = f"{result.outcome}: {name}" + (f" ({result.detail})" if result.detail else "")
        messages.add_message(request, LEVELS.get(result.outcome, messages.WARNING), text)
    if len(results) > SHOWN_RESULTS:
        done = sum(result.outcome == "done" for result in results)
        text = ngettext("%(done)s of %(all)s was done", "%(done)s of %(all)s were done", done)
        rest = _("the audit log has the result of each")
        messages.info(request, f"{text % {'done': done, 'all': len(results)}}; {rest}.")
