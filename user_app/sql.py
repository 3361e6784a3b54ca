"""SQL of the hot path, where a statement for a whole batch takes the place of a query for each row."""

#: One row per order, in the order of ids so that two batches never wait for each other in a circle. Beside a stored row
#: only one thing can still happen (domain.NEXT_STATE): COUNTED becomes CANCELED, and keeps its amounts.
MERGE_PURCHASES = """
INSERT INTO user_app_purchase AS stored
       (order_id, user_id, state, total, discount, currency, confirmed_at, canceled_at)
SELECT *
  FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::numeric[], %s::numeric[], %s::text[],
              %s::timestamptz[], %s::timestamptz[])
       AS told(order_id, user_id, state, total, discount, currency, confirmed_at, canceled_at)
 ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE
   SET state = EXCLUDED.state, canceled_at = EXCLUDED.canceled_at
 WHERE stored.state = 'COUNTED' AND EXCLUDED.state = 'CANCELED'
"""
