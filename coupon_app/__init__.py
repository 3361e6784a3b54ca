"""The coupon service: campaigns, claims, coupons, and the coupon step of the order saga."""
