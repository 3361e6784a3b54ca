"""The coupon service's changes of data. The caller must open the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from contracts.coupon import CouponClaimRequested, CouponRestored, CouponUsed, CouponUseFailed
from contracts.order import OrderCanceled, OrderCreated
from contracts.user import UserChanged
from coupon_app import selectors, sql
from coupon_app.campaigns import ClaimStatus, Grant, Supply, Terms, check_terms, claim_outcome, grant_obstacle
from coupon_app.domain import OrderDecision, Reason, Request, Use, answer
from coupon_app.models import Campaign, Claim, Coupon
from messaging import Context, Delivery, Event, new_id, publish, publish_all
from saga.participant import Answer, Incoming


class UnknownCampaign(LookupError):
    """No campaign has this id."""


class UserInactive(Exception):
    """The user is deactivated and gets no coupon."""


class GrantRefused(Exception):
    """The campaign has no coupon for this user: `status` is SOLD_OUT or LIMIT_REACHED."""

    def __init__(self, status: ClaimStatus) -> None:
        super().__init__(f"The campaign grants no further coupon to this user: {status}.")
        self.status = status


class GrantIdReused(Exception):
    """A coupon of this id was granted before, to another user, from another campaign or for another reason."""


# The coupon step of the saga


def answer_orders(*, deliveries: Sequence[Delivery], now: datetime) -> None:
    """Answer OrderCreated and OrderCanceled by the decision table, in the order given.

    An order without a coupon gets no row and no answer.
    """
    asked = ((_request_of(delivery.event), delivery.context) for delivery in deliveries)
    _answer([(request, context) for request, context in asked if request], now)


def refuse_exhausted(*, event: OrderCreated, context: Context, now: datetime) -> None:
    """Answer an OrderCreated after its last attempt failed."""
    if event.coupon_id is not None:
        _answer([(Request(Incoming.EXHAUSTED, event.order_id, event.coupon_id), context)], now)


def _request_of(event: Event) -> Request | None:
    match event:
        case OrderCreated(coupon_id=UUID() as coupon_id):
            use = Use(event.user_id, event.total, event.currency, event.created_at)
            return Request(Incoming.CREATED, event.order_id, coupon_id, use)
        case OrderCanceled(coupon_id=UUID() as coupon_id):
            return Request(Incoming.CANCELED, event.order_id, coupon_id)
        case _:
            return None


def _answer(asked: Sequence[tuple[Request, Context]], now: datetime) -> None:
    if not asked:
        return
    first = {request.order_id: request.coupon_id for request, _ in reversed(asked)}
    orders = sql.lock_decisions(first, now)
    coupons = sql.lock_coupons({order.coupon_id for order in orders.values()})
    decided = {order_id: order.decision for order_id, order in orders.items()}
    used_by = {coupon_id: coupon.order_id for coupon_id, coupon in coupons.items()}
    answers: list[tuple[Event, Context | None]] = []
    for request, context in asked:
        order = orders[request.order_id]
        answers.append((_event(request.order_id, order, answer(request, order, coupons)), context))
    sql.write_decisions({key: row for key, row in orders.items() if row.decision is not decided[key]}, now)
    sql.write_coupons({key: row.order_id for key, row in coupons.items() if row.order_id != used_by[key]})
    publish_all(answers)


def _event(order_id: UUID, order: OrderDecision, said: Answer) -> Event:
    match said:
        case Answer.TAKEN if order.discount is not None:
            return CouponUsed(order_id=order_id, coupon_id=order.coupon_id, discount=order.discount)
        case Answer.REFUSED if order.reason is not None:
            return CouponUseFailed(order_id=order_id, coupon_id=order.coupon_id, reason=order.reason)
        case Answer.CANCELED:
            return CouponUseFailed(order_id=order_id, coupon_id=order.coupon_id, reason=Reason.ORDER_CANCELED)
        case Answer.RESTORED | Answer.NOT_RESTORED:
            return CouponRestored(order_id=order_id, restored=said is Answer.RESTORED)
        case _:
            raise ValueError(
                f"order {order_id}: the answer {said} needs a discount or a reason; the decision row has none"
            )


# Campaigns and their coupons


def create_campaign(*, name: str, terms: Terms, quantity: int, per_user_limit: int) -> Campaign:
    """Create a campaign. InvalidTerms if its terms break a rule."""
    check_terms(terms)
    return Campaign.objects.create(name=name, quantity=quantity, per_user_limit=per_user_limit, **terms._asdict())


def grant_coupon(*, grant: Grant, now: datetime) -> Coupon:
    """Grant a user a coupon, on behalf of staff. A repeated `coupon_id` returns the coupon that it created.

    UnknownCampaign, UserInactive, GrantRefused, or GrantIdReused.
    """
    supply = sql.lock_supplies([grant.campaign_id]).get(grant.campaign_id)
    if supply is None:
        raise UnknownCampaign(f"There is no campaign {grant.campaign_id}.")
    if made := Coupon.objects.filter(id=grant.coupon_id).first():
        return _same_grant(made, grant)
    _check_grant(supply, grant)
    Campaign.objects.filter(id=grant.campaign_id).update(granted=F("granted") + 1)
    return _created_coupon(grant, now)


def _created_coupon(grant: Grant, now: datetime) -> Coupon:
    try:
        with transaction.atomic():
            return Coupon.objects.create(
                id=grant.coupon_id,
                campaign_id=grant.campaign_id,
                user_id=grant.user_id,
                granted_by=grant.granted_by,
                grant_reason=grant.reason,
                granted_at=now,
            )
    except IntegrityError as error:  # the id was used at the same moment for another campaign, whose lock differs
        raise _id_reused() from error


def _id_reused() -> GrantIdReused:
    return GrantIdReused("This request key was used for another user, campaign or reason; use a new one.")


def _same_grant(made: Coupon, grant: Grant) -> Coupon:
    if (made.campaign_id, made.user_id, made.grant_reason) != (grant.campaign_id, grant.user_id, grant.reason):
        raise _id_reused()
    return made


def _check_grant(supply: Supply, grant: Grant) -> None:
    if not selectors.is_active(grant.user_id):
        raise UserInactive("This user is deactivated; reactivate the account first.")
    owner = (grant.campaign_id, grant.user_id)
    if obstacle := grant_obstacle(supply, sql.count_owned([owner]).get(owner, 0)):
        raise GrantRefused(obstacle)


# Claims: the log of coupon.claims decides who gets a coupon


def request_claim(*, campaign_id: UUID, user_id: UUID, now: datetime) -> Claim:
    """Return the user's claim, without a lock on the campaign. UnknownCampaign or UserInactive.

    A claim that is certain to fail is decided here: quantity and limits never change, and granted coupons only become
    more. Any other one is published, and the log decides. An equal claim that is there is returned instead; an open one
    only in its first hour, since the event of an older one may be lost, or skipped.
    """
    claimant = sql.lock_claimant(campaign_id, user_id)
    if claimant is None:
        raise UnknownCampaign(f"There is no campaign {campaign_id}.")
    if not claimant.is_active:
        raise UserInactive("This account is deactivated; ask staff to reactivate it.")
    outcome = claim_outcome(claimant.supply, claimant.owned, now)
    refused = claimant.claims.get(outcome) if outcome is not ClaimStatus.GRANTED else None
    if equal := claimant.claims.get(ClaimStatus.PENDING) or refused:
        return Claim.objects.get(id=equal)
    return _record_claim(Claim(campaign_id=campaign_id, user_id=user_id, requested_at=now), outcome)


def _record_claim(claim: Claim, outcome: ClaimStatus) -> Claim:
    if outcome is ClaimStatus.GRANTED:
        claim.save(force_insert=True)
        publish(CouponClaimRequested(claim_id=claim.id, campaign_id=claim.campaign_id, user_id=claim.user_id))
    else:
        claim.status, claim.decided_at = outcome, claim.requested_at
        claim.save(force_insert=True)
    return claim


def decide_claims(*, deliveries: Sequence[Delivery], now: datetime) -> list[tuple[Delivery, str]]:
    """Decide each claim once, in the order given; return the claims that this service did not record, with a reason."""
    events = [delivery.event for delivery in deliveries]
    supplies = sql.lock_supplies({event.campaign_id for event in events})
    claims = sql.lock_claims({event.claim_id for event in events})
    unknown = [delivery for delivery in deliveries if not _is_known(delivery.event, supplies, claims)]
    pending = [claims[event.claim_id] for event in events if _is_known(event, supplies, claims)]
    outcomes = _outcomes([claim for claim in dict.fromkeys(pending) if claim.status == ClaimStatus.PENDING], supplies)
    if outcomes:
        sql.write_outcomes(outcomes, now)
        sql.write_granted({each.claim.campaign_id: supplies[each.claim.campaign_id] for each in outcomes})
    return [(delivery, "unknown_claim") for delivery in unknown]


def _is_known(event: CouponClaimRequested, supplies: dict[UUID, Supply], claims: dict[UUID, sql.ClaimRow]) -> bool:
    claim = claims.get(event.claim_id)
    return claim is not None and claim.campaign_id == event.campaign_id and claim.campaign_id in supplies


def _outcomes(claims: Sequence[sql.ClaimRow], supplies: dict[UUID, Supply]) -> list[sql.Outcome]:
    owned = sql.count_owned([(claim.campaign_id, claim.user_id) for claim in claims]) if claims else {}
    outcomes = []
    for claim in claims:
        supply, owner = supplies[claim.campaign_id], (claim.campaign_id, claim.user_id)
        status = claim_outcome(supply, owned.get(owner, 0), claim.requested_at)
        granted = status is ClaimStatus.GRANTED
        supply.granted += granted
        owned[owner] = owned.get(owner, 0) + granted
        outcomes.append(sql.Outcome(claim, status, new_id() if granted else None))
    return outcomes


# Copies of users


def keep_users(*, events: Iterable[UserChanged]) -> None:
    """Keep the newest version of each user; an older one never overwrites a newer one."""
    sql.keep_users((event.user_id, event.version, event.active) for event in events)
