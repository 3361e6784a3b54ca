"""The audit log of operators' actions is never rewritten, and never emptied."""

from __future__ import annotations

import pytest
from django.db import InternalError

from tests.ledgers import truncate

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_audit_log_cannot_be_truncated():
    with pytest.raises(InternalError, match="messaging_operator_action is append-only: TRUNCATE is refused"):
        truncate("messaging_operator_action")
