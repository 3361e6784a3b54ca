-- What pgbench's sagas need, in a scratch database that has each service's tables in a schema of its own.
CREATE FUNCTION bench_id(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ('01990000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid;

INSERT INTO order_service.order_app_productcopy (product_id, version, name, price, currency, active)
SELECT bench_id(n), 1, 'bench ' || n, 1000, 'KRW', true FROM generate_series(1, %(products)s) AS n;
INSERT INTO order_service.order_app_usercopy (user_id, version, active)
SELECT bench_id(n), 1, true FROM generate_series(1, %(users)s) AS n;
INSERT INTO product_service.product_app_product (id, name, price, currency, quantity, active, version)
SELECT bench_id(n), 'bench ' || n, 1000, 'KRW', 100000000, true, 1 FROM generate_series(1, %(products)s) AS n;
INSERT INTO coupon_service.coupon_app_campaign
       (id, name, kind, value, minimum_order, valid_from, valid_until, quantity, per_user_limit, granted, created_at)
VALUES (bench_id(1), 'bench', 'percent', 10, 0, now(), now() + interval '1 day', 100000000, 100000000, %(coupons)s, now());
INSERT INTO coupon_service.coupon_app_coupon (id, campaign_id, user_id, status, granted_by, grant_reason, granted_at)
SELECT bench_id(n), bench_id(1), bench_id(1), 'AVAILABLE', 'bench', '', now() FROM generate_series(1, %(coupons)s) AS n;
