"""Whatever stands in the topics that this service reads: it is handled or refused, and no handler fails at it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.contracts import any_event, handling

pytestmark = pytest.mark.django_db(transaction=True)

many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(any_event.well_formed(handling.topics()))
def test_a_well_formed_record_with_any_values_is_handled_or_refused(record):
    handling.handle(record)

    assert not handling.faults()


@many
@given(any_event.random_bytes(handling.topics()))
def test_a_record_of_random_bytes_is_refused(record):
    handling.handle(record)

    assert not handling.faults()
