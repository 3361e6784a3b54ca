"""Claims: the log decides, exactly the quantity is granted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.coupon import CouponClaimRequested
from coupon_app import services
from coupon_app.models import Campaign, Claim, Coupon
from messaging import TransactionRequired
from tests.coupon.given import NOW, USER, a_campaign, a_claim, a_coupon, created, decide, deliveries, handle, words

pytestmark = pytest.mark.django_db


def outcome(event: CouponClaimRequested) -> str:
    return Claim.objects.get(id=event.claim_id).status


def granted(campaign: Campaign) -> int:
    campaign.refresh_from_db()
    assert campaign.granted == Coupon.objects.filter(campaign=campaign).count()
    return campaign.granted


def test_exactly_the_quantity_is_granted_to_the_first_of_the_log():
    campaign = a_campaign(quantity=100, per_user_limit=1)
    claims = [a_claim(campaign) for _ in range(300)]

    decide(claims[:7])
    decide(claims[7:250])
    decide(claims[250:])

    assert [outcome(claim) for claim in claims] == ["GRANTED"] * 100 + ["SOLD_OUT"] * 200
    assert granted(campaign) == 100


def test_a_granted_claim_names_the_coupon_which_can_be_used():
    claim_event = a_claim(a_campaign(), user_id=USER)
    decide([claim_event])
    claim = Claim.objects.get(id=claim_event.claim_id)
    coupon = Coupon.objects.get(id=claim.coupon_id)
    assert (coupon.user_id, coupon.status, coupon.granted_by, claim.decided_at) == (USER, "AVAILABLE", "claim", NOW)
    handle(order := created(coupon.id))
    assert words(order.order_id) == ["used"]


def test_a_user_gets_no_more_than_the_limit_within_a_batch_and_over_several():
    campaign = a_campaign(per_user_limit=2)
    claims = [a_claim(campaign, user_id=USER) for _ in range(5)]
    decide(claims[:1])
    decide(claims[1:])
    assert [outcome(claim) for claim in claims] == ["GRANTED", "GRANTED", *["LIMIT_REACHED"] * 3]


def test_a_claim_over_the_limit_takes_nothing_from_the_others():
    campaign = a_campaign(quantity=2, per_user_limit=1)
    claims = [a_claim(campaign, user_id=USER), a_claim(campaign, user_id=USER), a_claim(campaign), a_claim(campaign)]
    decide(claims)
    assert [outcome(claim) for claim in claims] == ["GRANTED", "LIMIT_REACHED", "GRANTED", "SOLD_OUT"]


def test_a_claim_is_judged_when_it_was_made_not_when_it_is_handled():
    campaign = a_campaign(valid_from=NOW - timedelta(days=9), valid_until=NOW - timedelta(days=5))
    claims = [a_claim(campaign, at=NOW - timedelta(days=days)) for days in (10, 6, 5)]
    decide(claims)
    assert [outcome(claim) for claim in claims] == ["NOT_ACTIVE", "GRANTED", "NOT_ACTIVE"]
    assert granted(campaign) == 1


def test_coupons_granted_by_staff_count_against_quantity_and_limit():
    campaign = a_campaign(quantity=2, per_user_limit=1)
    a_coupon(campaign, user_id=USER)
    claims = [a_claim(campaign, user_id=USER), a_claim(campaign), a_claim(campaign)]
    decide(claims)
    assert [outcome(claim) for claim in claims] == ["LIMIT_REACHED", "GRANTED", "SOLD_OUT"]


def test_a_claim_decided_once_stays_whatever_is_replayed():
    campaign = a_campaign(quantity=1)
    first, second = a_claim(campaign), a_claim(campaign)
    decide([first, second, first])
    before = list(Claim.objects.order_by("id").values()), list(Coupon.objects.values())

    decide([second, first, second])
    decide([first])

    assert (list(Claim.objects.order_by("id").values()), list(Coupon.objects.values())) == before
    assert granted(campaign) == 1


def test_claims_of_several_campaigns_share_a_batch():
    campaigns = [a_campaign(quantity=quantity) for quantity in (1, 2, 3)]
    claims = {campaign: [a_claim(campaign) for _ in range(4)] for campaign in campaigns}
    decide([claim for each in claims.values() for claim in each])
    assert [granted(campaign) for campaign in campaigns] == [1, 2, 3]


def test_a_claim_that_nobody_made_is_returned_as_a_dead_letter_and_holds_up_no_other():
    campaign, other = a_campaign(), a_campaign()
    good = a_claim(campaign)
    foreign = CouponClaimRequested(claim_id=uuid4(), campaign_id=campaign.id, user_id=USER)
    elsewhere = CouponClaimRequested(claim_id=good.claim_id, campaign_id=other.id, user_id=USER)

    dead = decide([foreign, good, elsewhere])

    assert [(delivery.event, reason) for delivery, reason in dead] == [
        (foreign, "unknown_claim"),
        (elsewhere, "unknown_claim"),
    ]
    assert (outcome(good), granted(campaign), granted(other)) == ("GRANTED", 1, 0)


def test_a_batch_of_any_size_takes_the_same_few_statements(django_assert_num_queries):
    campaign = a_campaign(quantity=10)
    claims = [a_claim(campaign) for _ in range(30)]
    with django_assert_num_queries(6 + 2):  # lock campaigns, claims; count; write coupons, claims, campaigns; savepoint
        decide(claims)


users = [UUID(int=number) for number in range(4)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    quantity=st.integers(1, 6),
    limit=st.integers(1, 3),
    wishes=st.lists(st.tuples(st.sampled_from(users), st.booleans(), st.booleans()), max_size=20),
)
def test_claims_in_batches_of_any_cut_end_as_one_by_one_and_never_above_quantity_or_limit(quantity, limit, wishes):
    with transaction.atomic():
        singly, batched = (a_campaign(quantity=quantity, per_user_limit=limit) for _ in range(2))
        alone = [a_claim(singly, user_id=user) for user, _, _ in wishes]
        together = [a_claim(batched, user_id=user) for user, _, _ in wishes]
        for claim in alone:
            decide([claim])
        batch: list[CouponClaimRequested] = []
        for claim, (_, ends_batch, comes_again) in zip(together, wishes, strict=True):
            batch += [claim, claim] if comes_again else [claim]
            if ends_batch:
                decide(batch)
                batch = []
        decide(batch)
        assert [outcome(claim) for claim in together] == [outcome(claim) for claim in alone]
        assert granted(batched) == granted(singly) <= quantity
        for user in users:
            assert Coupon.objects.filter(campaign=batched, user_id=user).count() <= limit


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_no_claim_is_decided():
    claim = a_claim(a_campaign())
    with pytest.raises(TransactionRequired):
        services.decide_claims(deliveries=deliveries([claim]), now=NOW)
    assert outcome(claim) == "PENDING"


@pytest.mark.django_db(transaction=True)
def test_batches_and_staff_at_the_same_time_never_grant_more_than_the_quantity():
    campaigns = [a_campaign(quantity=20, per_user_limit=1) for _ in range(2)]
    batches = [[a_claim(campaign) for campaign in campaigns for _ in range(5)] for _ in range(6)]

    def claims(batch: list[CouponClaimRequested]) -> None:
        decide(batch)
        connection.close()

    def staff(campaign: Campaign) -> None:
        try:
            a_coupon(campaign, user_id=uuid4())
        except services.GrantRefused as refused:
            assert refused.status == "SOLD_OUT"
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(claims, batch) for batch in batches]
        work += [pool.submit(staff, campaign) for campaign in campaigns for _ in range(15)]
        for each in work:
            each.result()

    assert [granted(campaign) for campaign in campaigns] == [20, 20]
    assert Claim.objects.filter(status="PENDING").count() == 0
    assert Claim.objects.filter(status="GRANTED").count() == Coupon.objects.filter(granted_by="claim").count()


@pytest.mark.django_db(transaction=True)
def test_a_claim_is_made_while_the_campaign_is_locked_by_those_who_grant():
    campaign = a_campaign()

    def request() -> Claim:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                return services.request_claim(campaign_id=campaign.id, user_id=USER, now=NOW)
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        Campaign.objects.select_for_update().get(id=campaign.id)
        assert pool.submit(request).result(timeout=10).status == "PENDING"
