"""The HTTP API of the coupon service, under /api/v1/."""
