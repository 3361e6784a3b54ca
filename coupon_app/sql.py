"""The statements of the hot paths: one for each table and batch. Rows are locked in id order."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from batchsql import execute, execute_newest, fetch, insert_new, insert_rows, keep_newest, lock, update_rows
from coupon_app.campaigns import ClaimStatus, Supply, Terms
from coupon_app.domain import Coupon, OrderDecision, Reason
from money import stored
from saga.participant import Decision

_INSERT_DECISIONS = insert_rows(
    "coupon_app_coupondecision",
    {"order_id": "uuid", "coupon_id": "uuid"},
    fixed={"reason": "''", "currency": "''", "at": "%s"},
    order_by="order_id",
    then="ON CONFLICT DO NOTHING RETURNING order_id",
)
_LOCK_DECISIONS = """
SELECT order_id, coupon_id, decision, reason, discount, currency
  FROM coupon_app_coupondecision
 WHERE order_id = ANY(%s::uuid[])
 ORDER BY order_id
   FOR UPDATE
"""
_WRITE_DECISIONS = update_rows(
    "coupon_app_coupondecision",
    {"order_id": "uuid", "decision": "text", "reason": "text", "discount": "numeric", "currency": "text"},
    key=["order_id"],
    also="at = %s",
)


def lock_decisions(named: Mapping[UUID, UUID], at: datetime) -> dict[UUID, OrderDecision]:
    """Insert or lock the decision rows of the orders in `named` (order id → coupon id for a new row); return them."""
    new = {row[0] for row in insert_new(_INSERT_DECISIONS, named.items(), at)}
    decisions = {order_id: OrderDecision(coupon_id) for order_id, coupon_id in named.items() if order_id in new}
    if len(new) < len(named):
        known = lock(_LOCK_DECISIONS, [order_id for order_id in named if order_id not in new])
        decisions.update((row[0], _decision(*row[1:])) for row in known)
    return decisions


def _decision(coupon_id: UUID, decision: str, reason: str, discount: Any, currency: str) -> OrderDecision:
    return OrderDecision(
        coupon_id=coupon_id,
        decision=Decision(decision),
        reason=Reason(reason) if reason else None,
        discount=None if discount is None else stored(discount, currency),
        currency=currency,
    )


def write_decisions(decisions: Mapping[UUID, OrderDecision], at: datetime) -> None:
    """Write the decisions."""
    rows = [
        (order_id, row.decision, row.reason or "", row.discount, row.currency) for order_id, row in decisions.items()
    ]
    execute(_WRITE_DECISIONS, rows, at)


_LOCK_COUPONS = """
SELECT c.id, c.user_id, c.order_id, k.kind, k.value, k.currency, k.minimum_order, k.valid_from, k.valid_until
  FROM coupon_app_coupon AS c
  JOIN coupon_app_campaign AS k ON k.id = c.campaign_id
 WHERE c.id = ANY(%s::uuid[])
 ORDER BY c.id
   FOR UPDATE OF c
"""
_WRITE_COUPONS = update_rows(
    "coupon_app_coupon",
    {"id": "uuid", "order_id": "uuid"},
    key=["id"],
    also="status = CASE WHEN t.order_id IS NULL THEN 'AVAILABLE' ELSE 'USED' END",
)


def lock_coupons(ids: Collection[UUID]) -> dict[UUID, Coupon]:
    """Lock the coupons; return those that exist, with the terms of their campaigns."""
    rows = lock(_LOCK_COUPONS, ids)
    return {row[0]: Coupon(user_id=row[1], order_id=row[2], terms=Terms(*row[3:])) for row in rows}


def write_coupons(orders: Mapping[UUID, UUID | None]) -> None:
    """Write which order uses each coupon (coupon id → order id or None)."""
    execute(_WRITE_COUPONS, orders.items())


_LOCK_SUPPLIES = """
SELECT id, quantity, granted, per_user_limit, valid_from, valid_until
  FROM coupon_app_campaign
 WHERE id = ANY(%s::uuid[])
 ORDER BY id
   FOR NO KEY UPDATE
"""
_LOCK_CLAIMANT = "SELECT pg_advisory_xact_lock(hashtextextended(%s || %s, 0))"
_CLAIMANT = """
SELECT quantity, granted, per_user_limit, valid_from, valid_until,
       (SELECT count(*) FROM coupon_app_coupon AS c WHERE c.campaign_id = k.id AND c.user_id = %s::uuid),
       NOT EXISTS (SELECT FROM coupon_app_usercopy WHERE user_id = %s::uuid AND NOT active),
       (SELECT coalesce(jsonb_object_agg(status, id ORDER BY requested_at), '{}')
          FROM coupon_app_claim WHERE user_id = %s::uuid AND campaign_id = k.id
           AND (status <> 'PENDING' OR requested_at > now() - interval '1 hour'))
  FROM coupon_app_campaign AS k
 WHERE id = %s::uuid
"""
_WRITE_GRANTED = update_rows("coupon_app_campaign", {"id": "uuid", "granted": "int"}, key=["id"])
_LOCK_CLAIMS = """
SELECT id, campaign_id, user_id, status, requested_at
  FROM coupon_app_claim
 WHERE id = ANY(%s::uuid[])
 ORDER BY id
   FOR UPDATE
"""
_COUNT_OWNED = """
SELECT c.campaign_id, c.user_id, count(*)
  FROM coupon_app_coupon AS c
  JOIN (SELECT DISTINCT * FROM unnest(%s::uuid[], %s::uuid[]) AS u(campaign_id, user_id)) AS t
    ON c.campaign_id = t.campaign_id AND c.user_id = t.user_id
 GROUP BY c.campaign_id, c.user_id
"""
_INSERT_COUPONS = insert_rows(
    "coupon_app_coupon",
    {"id": "uuid", "campaign_id": "uuid", "user_id": "uuid"},
    fixed={"status": "'AVAILABLE'", "granted_by": "'claim'", "grant_reason": "''", "granted_at": "%s"},
    order_by="id",
)
_WRITE_CLAIMS = update_rows(
    "coupon_app_claim", {"id": "uuid", "status": "text", "coupon_id": "uuid"}, key=["id"], also="decided_at = %s"
)


class Claimant(NamedTuple):
    """A user who claims: the campaign's supply, the user's coupons of it, and the newest claim of each status."""

    supply: Supply
    owned: int
    is_active: bool
    claims: Mapping[str, str]


class ClaimRow(NamedTuple):
    """A claim as recorded."""

    id: UUID
    campaign_id: UUID
    user_id: UUID
    status: str
    requested_at: datetime


class Outcome(NamedTuple):
    """The result of a claim; `coupon_id` if it was granted."""

    claim: ClaimRow
    status: ClaimStatus
    coupon_id: UUID | None


def lock_claimant(campaign_id: UUID, user_id: UUID) -> Claimant | None:
    """Lock the user's claims of the campaign, and return what decides about a new one; None without the campaign.

    The lock is the user's own, so that a rush for one campaign waits for nothing.
    """
    lock(_LOCK_CLAIMANT, str(campaign_id), str(user_id))
    # A separate statement: it must see what was committed during the wait for the lock.
    found = fetch(_CLAIMANT, str(user_id), str(user_id), str(user_id), str(campaign_id))
    return next((Claimant(Supply(*row[:5]), row[5], row[6], json.loads(row[7])) for row in found), None)


def lock_supplies(campaign_ids: Collection[UUID]) -> dict[UUID, Supply]:
    """Lock the campaigns against other grants; return those that exist."""
    return {row[0]: Supply(*row[1:]) for row in lock(_LOCK_SUPPLIES, campaign_ids)}


def write_granted(supplies: Mapping[UUID, Supply]) -> None:
    """Write how many coupons each campaign has granted."""
    execute(_WRITE_GRANTED, [(campaign_id, supply.granted) for campaign_id, supply in supplies.items()])


def lock_claims(ids: Collection[UUID]) -> dict[UUID, ClaimRow]:
    """Lock the claims; return those that exist."""
    return {row[0]: ClaimRow(*row) for row in lock(_LOCK_CLAIMS, ids)}


def count_owned(pairs: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], int]:
    """Return how many coupons each (campaign id, user id) has. The result is exact only under the campaigns' locks."""
    rows = lock(_COUNT_OWNED, [campaign_id for campaign_id, _ in pairs], [user_id for _, user_id in pairs])
    return {(row[0], row[1]): row[2] for row in rows}


def write_outcomes(outcomes: Sequence[Outcome], at: datetime) -> None:
    """Write the coupons that were granted, then the claims."""
    granted = [(each.coupon_id, each.claim.campaign_id, each.claim.user_id) for each in outcomes if each.coupon_id]
    execute(_INSERT_COUPONS, granted, at)
    execute(_WRITE_CLAIMS, [(each.claim.id, each.status, each.coupon_id) for each in outcomes], at)


_KEEP_USERS = keep_newest("coupon_app_usercopy", {"user_id": "uuid", "version": "bigint", "active": "bool"})


def keep_users(users: Iterable[tuple[UUID, int, bool]]) -> None:
    """Write the copies (user id, version, active), unless a newer version is stored."""
    execute_newest(_KEEP_USERS, users)
