-- One saga as pgbench runs it: the SQL of our hot path for one order, one transaction for each of its six steps.
-- Left out, in pgbench's favour: consumer_position, the inbox's parked keys, a transaction of its own for each deletion
-- from the outbox (here it goes with the next step). No colon stands before a letter inside a literal: pgbench would
-- take it for a variable.
\set done :done + 1
\set serial :first + :client_id * :share + :done
\set a random(1, :products)
\set b 1 + (:a + random(0, :products - 2)) % :products
\set low least(:a, :b)
\set high greatest(:a, :b)
\set user random(1, :users)

-- 1. The order service places the order.
BEGIN;
SELECT product_id, price, currency, active FROM order_service.order_app_productcopy
 WHERE product_id IN (bench_id(:low), bench_id(:high));
SELECT user_id FROM order_service.order_app_usercopy WHERE user_id IN (bench_id(:user)) AND NOT active;
INSERT INTO order_service.order_app_order (id, user_id, status, reason, total, discount, currency, coupon_id, created_at)
VALUES (uuidv7(), bench_id(:user), 'PENDING', '', 5000, 0, 'KRW', bench_id(:serial), now())
RETURNING id AS order_id, user_id, coupon_id \gset
INSERT INTO order_service.messaging_outbox
       (event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard)
VALUES (uuidv7()::text, 'order.events', :order_id, 'order.OrderCreated.v1', now(), :order_id, NULL, '',
        '{"order_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","user_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f41","lines": [{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f42","quantity": 2,"unit_price": "1000"},{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f43","quantity": 3,"unit_price": "1000"}],"coupon_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f44","total": "5000","currency": "KRW","created_at": "2025-11-23T07.41.00Z"}'::bytea, 0)
RETURNING id AS created_row \gset
INSERT INTO order_service.order_app_orderline (order_id, product_id, quantity, unit_price)
VALUES (:order_id, bench_id(:low), 2, 1000), (:order_id, bench_id(:high), 3, 1000);
INSERT INTO order_service.order_app_saga (order_id, status, deadline, canceled_by, created_event_id, canceled_event_id,
                                          undo_count, flagged, created_at)
VALUES (:order_id, 'RUNNING', now() + interval '15 minutes', '', uuidv7()::text, '', 0, false, now());
INSERT INTO order_service.order_app_sagastep (saga_id, name, status, succeeded, attempts)
VALUES (:order_id, 'stock', 'PENDING', false, 0), (:order_id, 'coupon', 'PENDING', false, 0);
INSERT INTO order_service.order_app_sagahistory (order_id, at, step, from_status, to_status, event, event_id, headers,
                                                 data, actor, flagged, note)
VALUES (:order_id, now(), '', '', 'RUNNING', 'order.OrderCreated.v1', uuidv7()::text, '{}', '', 'customer', false, '');
COMMIT;

-- 2. The product service holds the stock.
BEGIN;
DELETE FROM order_service.messaging_outbox WHERE id = :created_row;
INSERT INTO product_service.messaging_inbox
       (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
VALUES (uuidv7()::text, 'product.on_order_created', 'order.events', 0, :serial, :order_id, 'done', 1, now())
    ON CONFLICT (event_id, handler) DO NOTHING RETURNING event_id, handler;
INSERT INTO product_service.product_app_stockdecision (order_id, decision, reason, detail, at)
VALUES (:order_id, 'HELD', '', '', now()) ON CONFLICT (order_id) DO NOTHING RETURNING order_id;
SELECT id, name, quantity FROM product_service.product_app_product
 WHERE id = ANY(ARRAY[bench_id(:low), bench_id(:high)]) ORDER BY id FOR NO KEY UPDATE;
INSERT INTO product_service.product_app_stockhold (order_id, product_id, quantity, restored_at)
VALUES (:order_id, bench_id(:low), 2, NULL), (:order_id, bench_id(:high), 3, NULL);
UPDATE product_service.product_app_product AS p SET quantity = p.quantity - t.taken
  FROM (VALUES (bench_id(:low), 2), (bench_id(:high), 3)) AS t(id, taken) WHERE p.id = t.id;
INSERT INTO product_service.messaging_outbox
       (event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard)
VALUES (uuidv7()::text, 'product.events', :order_id, 'product.StockReduced.v1', now(), :order_id, uuidv7()::text,
        '{"ce_causereceived": "2025-11-23T07.41.00.000000+00.00","ce_causeattempts": "1"}',
        '{"order_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","lines": [{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f42","quantity": 2},{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f43","quantity": 3}]}'::bytea, 0)
RETURNING id AS reduced_row \gset
COMMIT;

-- 3. The coupon service uses the coupon.
BEGIN;
INSERT INTO coupon_service.messaging_inbox
       (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
VALUES (uuidv7()::text, 'coupon.on_order_created', 'order.events', 0, :serial, :order_id, 'done', 1, now())
    ON CONFLICT (event_id, handler) DO NOTHING RETURNING event_id, handler;
INSERT INTO coupon_service.coupon_app_coupondecision (order_id, coupon_id, reason, currency, at)
VALUES (:order_id, :coupon_id, '', '', now()) ON CONFLICT DO NOTHING RETURNING order_id;
SELECT c.id, c.user_id, c.order_id, k.kind, k.value, k.currency, k.minimum_order, k.valid_from, k.valid_until
  FROM coupon_service.coupon_app_coupon AS c JOIN coupon_service.coupon_app_campaign AS k ON k.id = c.campaign_id
 WHERE c.id = :coupon_id ORDER BY c.id FOR UPDATE OF c;
UPDATE coupon_service.coupon_app_coupondecision
   SET decision = 'HELD', reason = '', discount = 500, currency = 'KRW', at = now() WHERE order_id = :order_id;
UPDATE coupon_service.coupon_app_coupon SET order_id = :order_id, status = 'USED' WHERE id = :coupon_id;
INSERT INTO coupon_service.messaging_outbox
       (event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard)
VALUES (uuidv7()::text, 'coupon.events', :order_id, 'coupon.CouponUsed.v1', now(), :order_id, uuidv7()::text,
        '{"ce_causereceived": "2025-11-23T07.41.00.000000+00.00","ce_causeattempts": "1"}',
        '{"order_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","coupon_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f44","discount": "500"}'::bytea, 0)
RETURNING id AS used_row \gset
COMMIT;

-- 4. The order service takes the first answer.
BEGIN;
DELETE FROM product_service.messaging_outbox WHERE id = :reduced_row;
INSERT INTO order_service.messaging_inbox
       (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
VALUES (uuidv7()::text, 'order.on_answer', 'product.events', 0, :serial, :order_id, 'done', 1, now())
    ON CONFLICT (event_id, handler) DO NOTHING RETURNING event_id, handler;
SELECT id, status, reason, user_id, coupon_id, total, discount, currency, created_at
  FROM order_service.order_app_order WHERE id = :order_id ORDER BY id FOR UPDATE;
SELECT s.order_id, s.status, s.flagged, s.canceled_by, s.undo_asked_at, s.undo_next_at, s.undo_count, s.deadline,
       s.guard_offsets, s.created_event_id, s.canceled_event_id, s.finished_at,
       t.name, t.status, t.succeeded, t.attempts
  FROM order_service.order_app_saga s JOIN order_service.order_app_sagastep t ON t.saga_id = s.order_id
 WHERE s.order_id = :order_id ORDER BY t.id;
UPDATE order_service.order_app_sagastep SET status = 'DONE', succeeded = true, attempts = 1
 WHERE saga_id = :order_id AND name = 'stock';
INSERT INTO order_service.order_app_sagahistory (order_id, at, step, from_status, to_status, event, event_id, headers,
                                                 data, actor, flagged, note)
VALUES (:order_id, now(), 'stock', 'PENDING', 'DONE', 'product.StockReduced.v1', uuidv7()::text,
        '{"ce_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f45","ce_type": "product.StockReduced.v1","ce_time": "2025-11-23T07.41.00.000000Z","ce_source": "/product","ce_subject": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","content-type": "application/json","ce_causationid": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f46","ce_specversion": "1.0","ce_causeattempts": "1","ce_causereceived": "2025-11-23T07.41.00.000000+00.00","ce_correlationid": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40"}',
        '{"order_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","lines": [{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f42","quantity": 2},{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f43","quantity": 3}]}',
        'product', false, '');
COMMIT;

-- 5. The order service takes the second answer and confirms.
BEGIN;
DELETE FROM coupon_service.messaging_outbox WHERE id = :used_row;
INSERT INTO order_service.messaging_inbox
       (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
VALUES (uuidv7()::text, 'order.on_answer', 'coupon.events', 0, :serial, :order_id, 'done', 1, now())
    ON CONFLICT (event_id, handler) DO NOTHING RETURNING event_id, handler;
SELECT id, status, reason, user_id, coupon_id, total, discount, currency, created_at
  FROM order_service.order_app_order WHERE id = :order_id ORDER BY id FOR UPDATE;
SELECT s.order_id, s.status, s.flagged, s.canceled_by, s.undo_asked_at, s.undo_next_at, s.undo_count, s.deadline,
       s.guard_offsets, s.created_event_id, s.canceled_event_id, s.finished_at,
       t.name, t.status, t.succeeded, t.attempts
  FROM order_service.order_app_saga s JOIN order_service.order_app_sagastep t ON t.saga_id = s.order_id
 WHERE s.order_id = :order_id ORDER BY t.id;
SELECT order_id, product_id, quantity, unit_price FROM order_service.order_app_orderline
 WHERE order_id = :order_id ORDER BY id;
UPDATE order_service.order_app_order SET status = 'CONFIRMED', reason = '', discount = 500 WHERE id = :order_id;
UPDATE order_service.order_app_saga SET status = 'COMPLETED', finished_at = now() WHERE order_id = :order_id;
UPDATE order_service.order_app_sagastep SET status = 'DONE', succeeded = true, attempts = 1
 WHERE saga_id = :order_id AND name = 'coupon';
INSERT INTO order_service.order_app_sagahistory (order_id, at, step, from_status, to_status, event, event_id, headers,
                                                 data, actor, flagged, note)
VALUES (:order_id, now(), 'coupon', 'PENDING', 'DONE', 'coupon.CouponUsed.v1', uuidv7()::text,
        '{"ce_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f45","ce_type": "coupon.CouponUsed.v1","ce_time": "2025-11-23T07.41.00.000000Z","ce_source": "/coupon","ce_subject": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","content-type": "application/json","ce_causationid": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f46","ce_specversion": "1.0","ce_causeattempts": "1","ce_causereceived": "2025-11-23T07.41.00.000000+00.00","ce_correlationid": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40"}',
        '{"order_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","coupon_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f44","discount": "500"}',
        'coupon', false, ''),
       (:order_id, now(), '', 'RUNNING', 'COMPLETED', 'order.OrderConfirmed.v1', uuidv7()::text, '{}', '', 'coupon',
        false, '');
INSERT INTO order_service.messaging_outbox
       (event_id, topic, key, type, occurred_at, correlation_id, causation_id, extra, data, shard)
VALUES (uuidv7()::text, 'order.events', :order_id, 'order.OrderConfirmed.v1', now(), :order_id, uuidv7()::text,
        '{"ce_causereceived": "2025-11-23T07.41.00.000000+00.00","ce_causeattempts": "1"}',
        '{"order_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f40","user_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f41","lines": [{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f42","quantity": 2,"unit_price": "1000"},{"product_id": "0199f0c2-7f1a-7c3e-9a51-5f0c1d2e3f43","quantity": 3,"unit_price": "1000"}],"total": "5000","discount": "500","currency": "KRW"}'::bytea, 0)
RETURNING id AS confirmed_row \gset
COMMIT;

-- 6. The user service counts the purchase.
BEGIN;
DELETE FROM order_service.messaging_outbox WHERE id = :confirmed_row;
INSERT INTO user_service.messaging_inbox
       (event_id, handler, topic, partition, "offset", key, state, attempts, received_at)
VALUES (uuidv7()::text, 'user.on_order_ended', 'order.events', 0, :serial, :order_id, 'done', 1, now())
    ON CONFLICT (event_id, handler) DO NOTHING RETURNING event_id, handler;
INSERT INTO user_service.user_app_purchase AS stored
       (order_id, user_id, state, total, discount, currency, confirmed_at, canceled_at)
VALUES (:order_id, :user_id, 'COUNTED', 5000, 500, 'KRW', now(), NULL)
    ON CONFLICT (order_id) DO UPDATE
   SET state = EXCLUDED.state, canceled_at = EXCLUDED.canceled_at
 WHERE stored.state = 'COUNTED' AND EXCLUDED.state = 'CANCELED';
COMMIT;
