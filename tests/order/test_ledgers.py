"""The history of sagas and the audit log are never emptied."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from tests.ledgers import truncate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("table", ["order_app_sagahistory", "order_app_operatoraction"])
def test_a_ledger_cannot_be_truncated(table: str) -> None:
    with pytest.raises(DatabaseError, match=f"{table} is append-only: TRUNCATE is refused"):
        truncate(table)
