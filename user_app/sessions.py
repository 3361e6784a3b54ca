"""The sessions of users: a sign-in, its refresh tokens, its end. An access token outlives its session by 5 minutes."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from messaging import new_id
from user_app import selectors, tokens
from user_app.models import Session, User
from webapi.tokens import Claims

logger = logging.getLogger(__name__)

#: Then the user signs in again, however often the session was refreshed.
LIFETIME = timedelta(days=30)
#: Within this time a repeated request gets the same successor: the answer may have been lost, or two tabs asked.
REPEATABLE = timedelta(seconds=10)
DEVICE_LENGTH = 200
PAGE = 1000


class SessionEnded(Exception):
    """The session of the refresh token has ended; sign in again."""


class End(StrEnum):
    """Why a session ended."""

    SIGNED_OUT = "signed_out"
    ENDED_BY_USER = "ended_by_user"
    TOKEN_REUSED = "token_reused"
    PASSWORD_CHANGED = "password_changed"
    DEACTIVATED = "deactivated"


def start_session(*, user: User, device: str = "") -> tokens.Tokens:
    """Start a session of `user` and return its first tokens. `device`: what the client calls itself."""
    now = timezone.now()
    session = Session(user=user, token_id=new_id(), created_at=now, refreshed_at=now, expires_at=now + LIFETIME)
    session.password_mark = tokens.password_mark(user)
    session.device = device.replace("\0", "")[:DEVICE_LENGTH]
    session.save(force_insert=True)
    return tokens.issue_tokens(session)


def refresh_session(*, claims: Claims) -> tokens.Tokens:
    """Return new tokens for a verified refresh token, which they replace.

    SessionEnded if the session, the account or the password has ended; or if the token was replaced before, which ends
    the session. It opens the transaction itself: that end is stored although the caller is refused.
    """
    with transaction.atomic():
        session = _lock_open(claims)
        is_valid = session is not None and _advance(session, claims.token_id)
    if session is None or not is_valid:
        raise SessionEnded
    return tokens.issue_tokens(session)


def end_session(*, user_id: UUID, session_id: UUID | None, reason: End) -> bool:
    """End one session of the user; return whether it was open."""
    return _end(_not_ended(user_id).filter(pk=session_id), reason) > 0


def end_sessions(*, user_id: UUID, reason: End, except_id: UUID | None = None) -> int:
    """End all sessions of the user, but the one of `except_id`; return how many were open."""
    return _end(_not_ended(user_id).exclude(pk=except_id), reason)


def forget_sessions(*, before: datetime) -> int:
    """Delete up to PAGE sessions that expired before then; return how many."""
    old = Session.objects.filter(expires_at__lt=before).order_by("expires_at").values_list("pk", flat=True)[:PAGE]
    return Session.objects.filter(pk__in=list(old)).delete()[0]


def _lock_open(claims: Claims) -> Session | None:
    # The user first, as a change of the password does: it then sees either this refresh or its end.
    user = User.objects.select_for_update().filter(pk=claims.user_id, is_active=True).first()
    if user is None:
        return None
    return selectors.list_sessions(user=user).select_for_update().filter(pk=claims.session_id).first()


def _not_ended(user_id: UUID) -> QuerySet[Session]:
    return Session.objects.filter(user_id=user_id, ended_at=None, expires_at__gt=timezone.now())


def _advance(session: Session, token_id: str) -> bool:
    """Replace the valid token if it is `token_id`; return False, and end the session, if that is an old one."""
    now = timezone.now()
    if token_id == str(session.token_id):
        session.previous_token_id, session.token_id, session.refreshed_at = session.token_id, new_id(), now
        session.save(update_fields=["previous_token_id", "token_id", "refreshed_at"])
        return True
    if token_id == str(session.previous_token_id) and now - session.refreshed_at <= REPEATABLE:
        return True
    _end(Session.objects.filter(pk=session.pk), End.TOKEN_REUSED)
    logger.warning("session %s of user %s ended: an old refresh token was used", session.pk, session.user_id)
    return False


def _end(sessions: QuerySet[Session], reason: End) -> int:
    return sessions.update(ended_at=timezone.now(), end_reason=reason.value)
