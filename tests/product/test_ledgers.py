"""The ledger of stock adjustments is never emptied."""

from __future__ import annotations

import pytest
from django.db import DatabaseError

from tests.ledgers import truncate

pytestmark = pytest.mark.django_db(transaction=True)


def test_adjustments_cannot_be_truncated() -> None:
    with pytest.raises(DatabaseError, match="never changed or deleted"):
        truncate("product_app_stockadjustment")
