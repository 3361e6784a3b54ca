"""Inserts old rows: orders that were confirmed in the last 30 days, with the rows of all services.

For the benchmark of a system with a history, and for the tests of query plans.
"""

from __future__ import annotations

import time
from typing import Any

DAY_MS = 24 * 60 * 60 * 1000
#: The n-th order's id: a UUID of version 7 with the order's time, the same in every service.
_MS = "(%(begin)s + n * %(span)s / %(count)s)"
_ID = f"(lpad(to_hex({_MS}), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id"
_AT = f"to_timestamp({_MS} / 1000.0) AS at"
_OLD = (
    f"(SELECT n, {_ID}, {_AT}, md5('user' || n %% 5000)::uuid AS user_id FROM generate_series(1, %(count)s) AS n) AS o"
)
_EACH = "CROSS JOIN generate_series(1, 2) AS each"
_PRODUCT = "md5('product' || (o.n * 2 + each) %% 1000)::uuid"
_COUPON = "md5('coupon' || o.id)::uuid"
_CAMPAIGN = "md5('campaign of the past')::uuid"


def _inbox(handler: str, topic: str, number: int = 1) -> str:
    return f"""
INSERT INTO messaging_inbox (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
SELECT overlay(id::text PLACING '{number}' FROM 20 FOR 1), '{handler}', '{topic}', n %% 12, n / 12, id::text,
       'done', 1, at
  FROM {_OLD} ORDER BY n
"""


_ORDER = (
    f"""
INSERT INTO order_app_order (id, user_id, status, reason, total, discount, currency, coupon_id, created_at)
SELECT id, user_id, 'CONFIRMED', '', 5000, 500, 'KRW', {_COUPON}, at FROM {_OLD} ORDER BY n
""",
    f"""
INSERT INTO order_app_orderline (order_id, product_id, quantity, unit_price)
SELECT id, {_PRODUCT}, each, 1000 FROM {_OLD} {_EACH} ORDER BY n, each
""",
    f"""
INSERT INTO order_app_saga (order_id, status, deadline, canceled_by, created_event_id, canceled_event_id, undo_count,
                            flagged, created_at, finished_at)
SELECT id, 'COMPLETED', at + interval '15 minutes', '', id::text, '', 0, false, at, at FROM {_OLD} ORDER BY n
""",
    f"""
INSERT INTO order_app_sagastep (saga_id, name, status, succeeded, attempts)
SELECT id, (ARRAY['stock', 'coupon'])[each], 'DONE', true, 1 FROM {_OLD} {_EACH} ORDER BY n, each
""",
    f"""
INSERT INTO order_app_sagahistory (order_id, at, step, from_status, to_status, event, event_id, headers, data, actor,
                                   flagged, note)
SELECT id, at, '', '', 'RUNNING', 'order.OrderCreated.v1', id::text, '{{}}', '', 'customer', false, ''
  FROM {_OLD} CROSS JOIN generate_series(1, 4) ORDER BY n
""",
    f"""
INSERT INTO order_app_idempotencykey (user_id, key, body_hash, response, created_at)
SELECT user_id, id::text, md5(id::text), '{{}}', now() - interval '40 hours' + n * interval '36 hours' / %(count)s
  FROM {_OLD} ORDER BY n
""",
    _inbox("order.on_answer", "product.events"),
    _inbox("order.on_answer", "coupon.events", 2),
)
_PRODUCT_SERVICE = (
    f"""
INSERT INTO product_app_stockdecision (order_id, decision, reason, detail, at)
SELECT id, 'HELD', '', '', at FROM {_OLD} ORDER BY n
""",
    f"""
INSERT INTO product_app_stockhold (order_id, product_id, quantity, restored_at)
SELECT id, {_PRODUCT}, each, NULL FROM {_OLD} {_EACH} ORDER BY n, each
""",
    _inbox("product.on_order_created", "order.events"),
)
_COUPON_SERVICE = (
    f"""
INSERT INTO coupon_app_campaign (id, name, kind, value, minimum_order, valid_from, valid_until, quantity,
                                 per_user_limit, granted, created_at)
SELECT {_CAMPAIGN}, 'the past', 'percent', 10, 0, now() - interval '90 days', now(), 100000000,
       1000000, %(count)s, now()
    ON CONFLICT (id) DO UPDATE SET granted = coupon_app_campaign.granted + excluded.granted
""",
    f"""
INSERT INTO coupon_app_coupon (id, campaign_id, user_id, order_id, status, granted_by, grant_reason, granted_at)
SELECT {_COUPON}, {_CAMPAIGN}, user_id, id, 'USED', 'claim', '', at FROM {_OLD} ORDER BY n
""",
    f"""
INSERT INTO coupon_app_coupondecision (order_id, coupon_id, decision, reason, discount, currency, at)
SELECT id, {_COUPON}, 'HELD', '', 500, 'KRW', at FROM {_OLD} ORDER BY n
""",
    _inbox("coupon.on_order_created", "order.events"),
)
_USER_SERVICE = (
    f"""
INSERT INTO user_app_purchase (order_id, user_id, state, total, discount, currency, confirmed_at)
SELECT id, user_id, 'COUNTED', 5000, 500, 'KRW', at FROM {_OLD} ORDER BY n
""",
    _inbox("user.on_order_ended", "order.events"),
)

STATEMENTS = {"order": _ORDER, "product": _PRODUCT_SERVICE, "coupon": _COUPON_SERVICE, "user": _USER_SERVICE}


def fill(cursor: Any, service: str, orders: int) -> None:
    """Insert the rows of `service` for that many old orders, and update its statistics. Autocommit; run it once."""
    span = 30 * DAY_MS
    values = {"count": orders, "span": span, "begin": int(time.time() * 1000) - span - DAY_MS}
    # The role's limit is for a service, not for filling tables.
    cursor.execute("SET statement_timeout = 0; SET work_mem = '256MB'; SET synchronous_commit = off")
    for statement in STATEMENTS[service]:
        cursor.execute(statement, values)
    cursor.execute("VACUUM ANALYZE")
    cursor.execute("RESET statement_timeout; RESET work_mem; RESET synchronous_commit")
