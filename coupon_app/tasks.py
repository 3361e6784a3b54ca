"""The coupon service's timers: none. A coupon expires by the clock; no row changes."""
