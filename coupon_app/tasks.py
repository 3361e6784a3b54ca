"""Timed work of the coupon service: none. Coupons expire by the clock, without a row being changed."""
