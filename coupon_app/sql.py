"""The statements of the hot paths: one for each table and batch. Rows are locked in id order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from coupon_app.campaigns import ClaimStatus, Supply, Terms
from coupon_app.domain import Coupon, OrderDecision, Reason
from coupon_app.money import rounded
from messaging import TransactionRequired
from saga.participant import Decision


def _run(statement: str, *columns: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, columns)


def _lock(statement: str, *columns: Any) -> list[tuple[Any, ...]]:
    if not connection.in_atomic_block:
        raise TransactionRequired("locks end with their statement outside a transaction: with transaction.atomic(): …")
    with connection.cursor() as cursor:
        cursor.execute(statement, columns)
        return cursor.fetchall()


_INSERT_DECISIONS = """
INSERT INTO coupon_app_coupondecision (order_id, coupon_id, reason, currency, at)
SELECT order_id, coupon_id, '', '', %s
  FROM unnest(%s::uuid[], %s::uuid[]) AS t(order_id, coupon_id)
 ORDER BY order_id
    ON CONFLICT DO NOTHING
RETURNING order_id
"""
_LOCK_DECISIONS = """
SELECT order_id, coupon_id, decision, reason, discount, currency
  FROM coupon_app_coupondecision
 WHERE order_id = ANY(%s::uuid[])
 ORDER BY order_id
   FOR UPDATE
"""
_WRITE_DECISIONS = """
UPDATE coupon_app_coupondecision AS d
   SET decision = t.decision, reason = t.reason, discount = t.discount, currency = t.currency, at = %s
  FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::numeric[], %s::text[])
       AS t(order_id, decision, reason, discount, currency)
 WHERE d.order_id = t.order_id
"""


def lock_decisions(named: Mapping[UUID, UUID], at: datetime) -> dict[UUID, OrderDecision]:
    """Insert or lock the decision rows of the orders in `named` (order id → coupon id for a new row); return them."""
    orders, coupons = _texts(named), _texts(named.values())
    new = {row[0] for row in _lock(_INSERT_DECISIONS, at, orders, coupons)}
    decisions = {order_id: OrderDecision(coupon_id) for order_id, coupon_id in named.items() if order_id in new}
    if len(new) < len(named):
        known = _lock(_LOCK_DECISIONS, _texts(order_id for order_id in named if order_id not in new))
        decisions.update((row[0], _decision(*row[1:])) for row in known)
    return decisions


def _decision(coupon_id: UUID, decision: str, reason: str, discount: Any, currency: str) -> OrderDecision:
    return OrderDecision(
        coupon_id=coupon_id,
        decision=Decision(decision),
        reason=Reason(reason) if reason else None,
        discount=None if discount is None else rounded(discount, currency),
        currency=currency,
    )


def write_decisions(decisions: Mapping[UUID, OrderDecision], at: datetime) -> None:
    """Write what was decided."""
    if not decisions:
        return
    rows = decisions.values()
    _run(
        _WRITE_DECISIONS,
        at,
        _texts(decisions),
        [row.decision for row in rows],
        [row.reason or "" for row in rows],
        [row.discount for row in rows],
        [row.currency for row in rows],
    )


_LOCK_COUPONS = """
SELECT c.id, c.user_id, c.order_id, k.kind, k.value, k.currency, k.minimum_order, k.valid_from, k.valid_until
  FROM coupon_app_coupon AS c
  JOIN coupon_app_campaign AS k ON k.id = c.campaign_id
 WHERE c.id = ANY(%s::uuid[])
 ORDER BY c.id
   FOR UPDATE OF c
"""
_WRITE_COUPONS = """
UPDATE coupon_app_coupon AS c
   SET order_id = t.order_id, status = CASE WHEN t.order_id IS NULL THEN 'AVAILABLE' ELSE 'USED' END
  FROM unnest(%s::uuid[], %s::uuid[]) AS t(id, order_id)
 WHERE c.id = t.id
"""


def lock_coupons(ids: Collection[UUID]) -> dict[UUID, Coupon]:
    """Lock the coupons; return those that exist, with the terms of their campaigns."""
    rows = _lock(_LOCK_COUPONS, _texts(ids))
    return {row[0]: Coupon(user_id=row[1], order_id=row[2], terms=Terms(*row[3:])) for row in rows}


def write_coupons(orders: Mapping[UUID, UUID | None]) -> None:
    """Write which order uses each coupon (coupon id → order id or None)."""
    if not orders:
        return
    _run(_WRITE_COUPONS, _texts(orders), [order_id and str(order_id) for order_id in orders.values()])


_LOCK_SUPPLIES = """
SELECT id, quantity, granted, per_user_limit, valid_from, valid_until
  FROM coupon_app_campaign
 WHERE id = ANY(%s::uuid[])
 ORDER BY id
   FOR NO KEY UPDATE
"""
_WRITE_GRANTED = """
UPDATE coupon_app_campaign AS k
   SET granted = t.granted
  FROM unnest(%s::uuid[], %s::int[]) AS t(id, granted)
 WHERE k.id = t.id
"""
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
_INSERT_COUPONS = """
INSERT INTO coupon_app_coupon (id, campaign_id, user_id, status, granted_by, grant_reason, granted_at)
SELECT id, campaign_id, user_id, 'AVAILABLE', 'claim', '', %s
  FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS t(id, campaign_id, user_id)
 ORDER BY id
"""
_WRITE_CLAIMS = """
UPDATE coupon_app_claim AS c
   SET status = t.status, coupon_id = t.coupon_id, decided_at = %s
  FROM unnest(%s::uuid[], %s::text[], %s::uuid[]) AS t(id, status, coupon_id)
 WHERE c.id = t.id
"""


class ClaimRow(NamedTuple):
    """A claim as it was made."""

    id: UUID
    campaign_id: UUID
    user_id: UUID
    status: str
    requested_at: datetime


class Outcome(NamedTuple):
    """What became of a claim; `coupon_id` if it was granted."""

    claim: ClaimRow
    status: ClaimStatus
    coupon_id: UUID | None


def lock_supplies(campaign_ids: Collection[UUID]) -> dict[UUID, Supply]:
    """Lock the campaigns against other grants; return those that exist."""
    return {row[0]: Supply(*row[1:]) for row in _lock(_LOCK_SUPPLIES, _texts(campaign_ids))}


def write_granted(supplies: Mapping[UUID, Supply]) -> None:
    """Write how many coupons the campaigns have given away."""
    _run(_WRITE_GRANTED, _texts(supplies), [supply.granted for supply in supplies.values()])


def lock_claims(ids: Collection[UUID]) -> dict[UUID, ClaimRow]:
    """Lock the claims; return those that exist."""
    return {row[0]: ClaimRow(*row) for row in _lock(_LOCK_CLAIMS, _texts(ids))}


def count_owned(pairs: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], int]:
    """Return how many coupons each (campaign id, user id) has. To be counted on, the campaign must be locked before."""
    rows = _lock(_COUNT_OWNED, _texts(pair[0] for pair in pairs), _texts(pair[1] for pair in pairs))
    return {(row[0], row[1]): row[2] for row in rows}


def write_outcomes(outcomes: Sequence[Outcome], at: datetime) -> None:
    """Write the coupons that were granted, then the claims."""
    granted = [each for each in outcomes if each.coupon_id]
    owners = [each.claim for each in granted]
    coupons = _texts(each.coupon_id for each in granted)
    _run(
        _INSERT_COUPONS,
        at,
        coupons,
        _texts(each.campaign_id for each in owners),
        _texts(each.user_id for each in owners),
    )
    ids, statuses = _texts(each.claim.id for each in outcomes), [each.status for each in outcomes]
    _run(_WRITE_CLAIMS, at, ids, statuses, [each.coupon_id and str(each.coupon_id) for each in outcomes])


_KEEP_USERS = """
INSERT INTO coupon_app_usercopy AS u (user_id, version, active)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bool[]) AS t(user_id, version, active)
 ORDER BY user_id
    ON CONFLICT (user_id) DO UPDATE SET version = excluded.version, active = excluded.active
 WHERE u.version < excluded.version
"""


def keep_users(users: Mapping[UUID, tuple[int, bool]]) -> None:
    """Write the copies (user id → version, active), except where a newer version is kept already."""
    rows = users.values()
    _run(_KEEP_USERS, _texts(users), [row[0] for row in rows], [row[1] for row in rows])


def _texts(ids: Any) -> list[str]:
    return [str(each) for each in ids]  # a list of text is what psycopg2 writes fastest
