"""Sessions: a refresh token is used once, an old one ends its session, and a user sees and ends them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import jwt
import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from tests.user.conftest import PASSWORD
from tests.user.test_forged_tokens import Forger
from user_app import services, sessions, tasks
from user_app.models import Session, User

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/users/me"
SESSIONS = f"{ME}/sessions"


@pytest.fixture
def signed_in(client, alice):
    """The tokens of a new session."""
    return sign_in(client)


def sign_in(client, device="phone"):
    body = {"username": "alice", "password": PASSWORD}
    return client.post("/api/v1/token", body, headers={"User-Agent": device}).json()


def refresh(token):
    return APIClient().post("/api/v1/token/refresh", {"refresh": token})


def bearer(access):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
    return client


def later(**period):
    """Let the session have been refreshed so much earlier."""
    session = Session.objects.get()
    session.refreshed_at -= timedelta(**period)
    session.save()


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def ended(response):
    return (response.status_code, response.json()["code"]) == (401, "session_ended")


def test_each_refresh_gives_another_token_of_the_same_session(signed_in):
    # When a session is refreshed again and again
    tokens = [signed_in["refresh"]]
    for _ in range(3):
        tokens.append(refresh(tokens[-1]).json()["refresh"])
    # Then no token is given twice, and all belong to one session
    assert len({claims(token)["jti"] for token in tokens}) == 4
    assert {claims(token)["sid"] for token in tokens} == {str(Session.objects.get().pk)}


def test_an_old_refresh_token_ends_the_session_for_the_thief_and_the_owner(signed_in):
    # Given a token that was replaced some time ago
    newest = refresh(signed_in["refresh"]).json()
    later(seconds=11)
    # When somebody uses the old one
    assert ended(refresh(signed_in["refresh"]))
    # Then the new one is worth nothing either, nor is the access token here
    assert ended(refresh(newest["refresh"]))
    assert ended(bearer(newest["access"]).get(ME))
    assert Session.objects.get().end_reason == "token_reused"


def test_a_token_of_two_refreshes_ago_ends_the_session_at_once(signed_in):
    # Given two refreshes within a moment
    second = refresh(signed_in["refresh"]).json()["refresh"]
    third = refresh(second).json()["refresh"]
    # When the first token comes again
    assert ended(refresh(signed_in["refresh"]))
    # Then the session is over
    assert ended(refresh(third))


def test_a_lost_answer_does_not_end_the_session(signed_in):
    # Given a refresh whose answer was lost
    lost = refresh(signed_in["refresh"]).json()["refresh"]
    # When the client asks again within ten seconds
    again = refresh(signed_in["refresh"]).json()["refresh"]
    # Then it gets the same successor, which works
    assert claims(again)["jti"] == claims(lost)["jti"]
    assert refresh(again).status_code == 200


def test_two_tabs_that_refresh_at_once_both_go_on(signed_in):
    # When ten requests use one token at once
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(_refresh_and_close, [signed_in["refresh"]] * 10))
    # Then each gets the one successor
    assert {answer.status_code for answer in answers} == {200}
    assert len({claims(answer.json()["refresh"])["jti"] for answer in answers}) == 1
    assert Session.objects.get().ended_at is None


def _refresh_and_close(token):
    try:
        return refresh(token)
    finally:
        connection.close()


def test_a_session_ends_after_thirty_days_however_often_it_is_refreshed(signed_in):
    # Given a session in its last hour
    Session.objects.update(expires_at=timezone.now() + timedelta(hours=1))
    last = refresh(signed_in["refresh"]).json()["refresh"]
    # Then its token lives no longer than the session
    assert claims(last)["exp"] - claims(last)["iat"] <= 3600
    # And when that has passed, the session is over
    Session.objects.update(expires_at=timezone.now())
    assert ended(refresh(last))


def test_signing_out_ends_the_session_and_says_no_more(signed_in, client):
    # When the session is signed out, and again, and with nonsense
    for token in (signed_in["refresh"], signed_in["refresh"], "nonsense", signed_in["access"]):
        assert client.post("/api/v1/token/revoke", {"refresh": token}).status_code == 204
    # Then its tokens are over here
    assert ended(refresh(signed_in["refresh"]))
    assert ended(bearer(signed_in["access"]).get(ME))
    assert Session.objects.get().end_reason == "signed_out"


def test_an_old_token_still_signs_out(signed_in, client):
    # Given a token that was replaced
    refresh(signed_in["refresh"])
    # When it is revoked
    client.post("/api/v1/token/revoke", {"refresh": signed_in["refresh"]})
    # Then the session has ended
    assert Session.objects.get().end_reason == "signed_out"


def test_a_user_sees_where_it_is_signed_in(signed_in, client):
    # Given a second sign-in
    sign_in(client, device="laptop")
    # When the first one lists the sessions
    shown = bearer(signed_in["access"]).get(SESSIONS).json()
    # Then both are there, the latest first, without a token
    assert [(each["device"], each["current"]) for each in shown] == [("laptop", False), ("phone", True)]
    assert set(shown[0]) == {"id", "device", "created_at", "refreshed_at", "expires_at", "current"}


def test_a_user_ends_another_device(signed_in, client):
    # Given a session on a lost phone
    laptop = bearer(sign_in(client, device="laptop")["access"])
    phone = next(each for each in laptop.get(SESSIONS).json() if not each["current"])
    # When it is ended from the laptop
    assert laptop.delete(f"{SESSIONS}/{phone['id']}").status_code == 204
    # Then the phone is out, and the laptop is not
    assert ended(refresh(signed_in["refresh"]))
    assert [each["device"] for each in laptop.get(SESSIONS).json()] == ["laptop"]
    assert laptop.delete(f"{SESSIONS}/{phone['id']}").json()["code"] == "not_found"


def test_a_user_ends_all_other_devices(signed_in, client):
    # Given three sessions
    sign_in(client), sign_in(client)
    # When the first one ends the others
    assert bearer(signed_in["access"]).delete(SESSIONS).status_code == 204
    # Then it alone is left
    assert [each["current"] for each in bearer(signed_in["access"]).get(SESSIONS).json()] == [True]


def test_no_user_ends_or_sees_the_session_of_another(signed_in):
    # Given bob
    with transaction.atomic():
        bob = services.register_user(username="bob", email="bob@example.com", password=PASSWORD)
    as_bob = bearer(sessions.start_session(user=bob).access)
    # When bob names alice's session
    answer = as_bob.delete(f"{SESSIONS}/{claims(signed_in['refresh'])['sid']}")
    as_bob.delete(SESSIONS)
    # Then it is as if there were none
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert len(as_bob.get(SESSIONS).json()) == 1
    assert refresh(signed_in["refresh"]).status_code == 200


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda user: services.change_profile(user_id=user.pk, password="another-horse-9"), "password_changed"),
        (lambda user: services.set_active(user_id=user.pk, active=False), "deactivated"),
    ],
)
def test_a_new_password_and_a_deactivation_end_every_session(signed_in, client, alice, end, reason):
    # Given two sessions
    sign_in(client)
    # When the account changes
    with transaction.atomic():
        end(alice)
    # Then both have ended, for good
    assert set(Session.objects.values_list("end_reason", flat=True)) == {reason}
    User.objects.update(is_active=True)
    assert ended(refresh(signed_in["refresh"]))


def test_a_refresh_token_dies_with_a_password_that_was_changed_past_the_services(signed_in, alice):
    # When the password is changed by Django's own command
    alice.set_password("another-horse-9")
    alice.save()
    # Then the token is refused
    assert ended(refresh(signed_in["refresh"]))


def test_a_device_that_names_itself_at_length_signs_in(client, alice):
    # When the User-Agent is very long
    answer = sign_in(client, device="x" * 5000)
    # Then it is cut
    assert Session.objects.get().device == "x" * 200
    assert "access" in answer


def test_sessions_that_expired_long_ago_are_forgotten(signed_in, client):
    # Given a session that expired 31 days ago and one of yesterday
    Session.objects.update(expires_at=timezone.now() - timedelta(days=31))
    sign_in(client)
    Session.objects.filter(expires_at__gt=timezone.now()).update(expires_at=timezone.now() - timedelta(days=1))
    # When the timer runs
    assert tasks.forget_sessions() == 1
    # Then the younger one is still there
    assert Session.objects.count() == 1


@pytest.mark.parametrize("sid", [None, str(uuid4())])
def test_a_token_of_no_session_is_refused(alice, sid):
    # Given a genuine token without a session, as an older release signed it, and one of a session that is unknown
    token = Forger(alice).genuine(sid=sid)
    # Then the account is closed to it
    assert ended(bearer(token).get(ME))
    assert ended(refresh(Forger(alice).genuine(sid=sid, typ="refresh")))
