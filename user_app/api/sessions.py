"""Signing in and out, refreshing, and a user's sessions."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from user_app import selectors, services, sessions
from user_app.api import serializers
from user_app.api.base import AccountView, OpenView
from webapi.problems import Problem
from webapi.serializers import NoFields, read_body
from webapi.sign_in_limits import guessing
from webapi.tokens import InvalidToken, read_claims


class TokenView(OpenView):
    """Signing in."""

    @extend_schema(
        summary="Sign in",
        request=serializers.SignInSerializer,
        responses={200: serializers.TokensSerializer, 401: OpenApiResponse(description="invalid_credentials.")},
    )
    def post(self, request: Request) -> Response:
        """200 with access and refresh token; 401 `invalid_credentials` if the username or the password is wrong."""
        given = read_body(serializers.SignInSerializer, request)
        try:
            # Normalised by the serializer and in one case, so other spellings share one count.
            with guessing(request, given["username"].lower(), services.SignInRefused):
                user = services.check_credentials(**given)
        except services.SignInRefused as error:
            raise _refused("invalid_credentials", "No active user has this name and password.") from error
        signed = sessions.start_session(user=user, device=request.headers.get("User-Agent", ""))
        return Response(serializers.TokensSerializer(signed).data)


class RefreshView(OpenView):
    """New tokens for a signed-in user."""

    @extend_schema(
        summary="Refresh",
        request=serializers.RefreshSerializer,
        responses={
            200: serializers.TokensSerializer,
            401: OpenApiResponse(description="invalid_token, token_expired, session_ended."),
        },
    )
    def post(self, request: Request) -> Response:
        """200 with new tokens. The refresh token is replaced: one that is used again later ends the session.

        401 if it is invalid, or its session has ended (signed out, another password, deactivated).
        """
        given = read_body(serializers.RefreshSerializer, request)
        try:
            signed = sessions.refresh_session(claims=read_claims(given["refresh"], kind="refresh"))
        except InvalidToken as error:
            raise _refused(error.code, str(error)) from error
        except sessions.SessionEnded as error:
            raise _refused("session_ended", "This session has ended; sign in again.") from error
        return Response(serializers.TokensSerializer(signed).data)


class RevokeView(OpenView):
    """Signing out (RFC 7009)."""

    @extend_schema(summary="Sign out", request=serializers.RefreshSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """204: the session of this refresh token has ended, also if it had before or the token is not valid."""
        given = read_body(serializers.RefreshSerializer, request)
        with suppress(InvalidToken):
            claims = read_claims(given["refresh"], kind="refresh")
            sessions.end_session(user_id=claims.user_id, session_id=claims.session_id, reason=sessions.End.SIGNED_OUT)
        return Response(status=204)


class SessionsView(AccountView):
    """Where the caller is signed in."""

    @extend_schema(summary="My sessions", responses=serializers.SessionSerializer(many=True))
    def get(self, request: Request) -> Response:
        """200 with the sessions that have not ended, the latest sign-in first."""
        found = selectors.list_sessions(user=request.user)
        shown = serializers.SessionSerializer(found, many=True, context={"current": request.auth.session_id})
        return Response(shown.data)

    @extend_schema(summary="End my other sessions", operation_id="users_me_sessions_end_others", responses={204: None})
    def delete(self, request: Request) -> Response:
        """204: all sessions but this one have ended."""
        read_body(NoFields, request)
        user_id, current = request.user.pk, request.auth.session_id
        sessions.end_sessions(user_id=user_id, except_id=current, reason=sessions.End.ENDED_BY_USER)
        return Response(status=204)


class SessionView(AccountView):
    """One of the caller's sessions."""

    @extend_schema(summary="End a session", responses={204: None, 404: OpenApiResponse(description="not_found.")})
    def delete(self, request: Request, session_id: UUID) -> Response:
        """204: the session has ended; 404 if the caller has no such open session."""
        read_body(NoFields, request)
        ended = sessions.end_session(user_id=request.user.pk, session_id=session_id, reason=sessions.End.ENDED_BY_USER)
        if not ended:
            raise Problem(404, "not_found", "You have no such session.")
        return Response(status=204)


def _refused(code: str, detail: str) -> Problem:
    return Problem(401, code, detail, headers={"WWW-Authenticate": 'Bearer realm="user"'})
