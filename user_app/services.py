"""The user service's writes: accounts, tokens, purchase history. The caller must open the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from uuid import UUID

from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction
from django.db.models import F

from contracts.order import OrderCanceled, OrderConfirmed
from contracts.user import UserChanged
from messaging import Delivery, publish, publish_all
from user_app import sql
from user_app.domain import Ending, PurchaseState, next_state
from user_app.models import User
from user_app.sessions import End, end_sessions


class UsernameTaken(Exception):
    """The username is taken (upper and lower case are equal); choose another one."""


class SignInRefused(Exception):
    """No active user has this name and password."""


def register_user(*, username: str, email: str, password: str, is_staff: bool = False) -> User:
    """Create an active user and publish it. UsernameTaken if the name is taken."""
    user = User(username=User.normalize_username(username), email=User.objects.normalize_email(email))
    user.is_staff = is_staff
    user.set_password(password)
    try:
        with transaction.atomic():
            save_user(user=user)
    except IntegrityError as error:
        raise UsernameTaken(username) from error
    return user


def save_user(*, user: User) -> None:
    """Store `user`; publish it if it is new, or if a value that other services copy has changed.

    Every write of such a value must use this function. It locks the row first, so that two changes of one user are
    published in the order in which they are stored.
    """
    stored = lock_user(user_id=user.pk)
    changed = stored is not None and (stored.is_active, stored.is_staff) != (user.is_active, user.is_staff)
    if stored is not None:
        user.version = stored.version + changed
    user.save()
    if stored is None or changed:
        publish(_as_published(user))
    if not user.is_active:
        end_sessions(user_id=user.pk, reason=End.DEACTIVATED)


def lock_user(*, user_id: UUID) -> User | None:
    """Return the user, locked until the transaction ends; None if the id is unknown."""
    return User.objects.select_for_update().filter(pk=user_id).first()


def change_profile(*, user_id: UUID, email: str | None = None, password: str | None = None) -> User:
    """Change the given values and return the user. A new password ends every session."""
    user = User.objects.select_for_update().get(pk=user_id)
    if email is not None:
        user.email = User.objects.normalize_email(email)
    if password is not None:
        user.set_password(password)
        end_sessions(user_id=user.pk, reason=End.PASSWORD_CHANGED)
    user.save(update_fields=["email", "password"])
    return user


def set_active(*, user_id: UUID, active: bool) -> User:
    """Deactivate or reactivate a user, publish the change if any, and return the user."""
    user = User.objects.select_for_update().get(pk=user_id)
    user.is_active = active
    save_user(user=user)
    return user


def check_credentials(*, username: str, password: str) -> User:
    """Return the active user of this name and password; SignInRefused after the same time, whichever is wrong."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise SignInRefused
    return user


def republish_users(*, user_ids: Sequence[UUID], raise_versions: bool = False) -> int:
    """Publish these users again and return how many. They are locked, so that no older state follows a newer one.

    With their current version, which a copy that has it ignores; `raise_versions` gives each the next one first.
    """
    users = list(User.objects.select_for_update().filter(pk__in=user_ids).order_by("pk"))
    if raise_versions:
        User.objects.filter(pk__in=[user.pk for user in users]).update(version=F("version") + 1)
        for user in users:
            user.version += 1
    publish_all((_as_published(user), None) for user in users)
    return len(users)


def _as_published(user: User) -> UserChanged:
    return UserChanged(user_id=user.pk, version=user.version, active=user.is_active)


@dataclass(slots=True)
class PurchaseRow:
    """A row of the purchase history from one batch, in the column order of `sql.merge_purchases`."""

    order_id: UUID
    user_id: UUID
    state: PurchaseState | None = None
    total: Decimal | None = None
    discount: Decimal | None = None
    currency: str = ""
    confirmed_at: datetime | None = None
    canceled_at: datetime | None = None

    def confirm(self, event: OrderConfirmed, at: datetime) -> None:
        """Apply a confirmation."""
        counted_before = self.state is not None
        self.state = next_state(self.state, Ending.CONFIRMED)
        if not counted_before:
            self.total, self.discount, self.currency = event.total, event.discount, event.currency
            self.confirmed_at = at

    def cancel(self, at: datetime) -> None:
        """Apply a cancellation."""
        self.state = next_state(self.state, Ending.CANCELED)
        self.canceled_at = self.canceled_at or at


_columns = attrgetter(*(field.name for field in fields(PurchaseRow)))


def record_purchases(*, deliveries: Sequence[Delivery]) -> None:
    """Merge a batch of OrderConfirmed and OrderCanceled into the purchase history, by the table in domain.py.

    The events of one order are combined first. One statement then merges them with the stored rows.
    """
    rows: dict[UUID, PurchaseRow] = {}
    for event, context in deliveries:
        assert isinstance(event, OrderConfirmed | OrderCanceled)
        row = rows.setdefault(event.order_id, PurchaseRow(event.order_id, event.user_id))
        if isinstance(event, OrderConfirmed):
            row.confirm(event, context.occurred_at)
        else:
            row.cancel(context.occurred_at)
    sql.merge_purchases([_columns(row) for row in rows.values()])
