"""The order service's operations. The caller (an entry point) must open the transaction."""

from order_app.services.answers import UNKNOWN_ORDER, apply_answers
from order_app.services.canceling import cancel_order
from order_app.services.copies import copy_products, copy_users
from order_app.services.operators import compensate, request_again, resolve_by_hand
from order_app.services.placing import PlacedOrder, UserInactive, place_order, place_orders
from order_app.services.timers import ask_undo_again, cancel_overdue

__all__ = [
    "UNKNOWN_ORDER",
    "PlacedOrder",
    "UserInactive",
    "apply_answers",
    "ask_undo_again",
    "cancel_order",
    "cancel_overdue",
    "compensate",
    "copy_products",
    "copy_users",
    "place_order",
    "place_orders",
    "request_again",
    "resolve_by_hand",
]
