"""What staff may do, by role. The user service writes the roles into the access token; every service judges by them."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A role of staff. In the user service each is a group of this name."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    CATALOG = "catalog"
    MARKETING = "marketing"


#: Who sees the orders of all users.
SEES_ORDERS = frozenset({Role.VIEWER, Role.OPERATOR, Role.SUPERVISOR})
#: Who cancels an order of another user.
CANCELS_ORDERS = frozenset({Role.OPERATOR, Role.SUPERVISOR})
#: Who writes products and stock, and sees inactive products.
EDITS_PRODUCTS = frozenset({Role.CATALOG})
#: Who writes campaigns, and grants coupons.
EDITS_CAMPAIGNS = frozenset({Role.MARKETING})


def read_roles(names: object) -> frozenset[Role]:
    """Return the roles among `names` (a token's claim); a name of a newer release is left out."""
    known = {role.value for role in Role}
    if not isinstance(names, list):
        return frozenset()
    return frozenset(Role(name) for name in names if isinstance(name, str) and name in known)
