"""GET and PATCH /users/me."""

from __future__ import annotations

import io
import json

import pytest
from django.core.wsgi import get_wsgi_application
from django.test import RequestFactory

from tests.user.conftest import PASSWORD
from user_app.models import User
from webapi.chunked import read_chunked

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/users/me"


def test_a_user_sees_its_own_account(as_alice, alice):
    # When alice asks
    body = as_alice.get(ME).json()
    # Then it is hers
    assert (body["id"], body["username"], body["email"]) == (str(alice.pk), "alice", "alice@example.com")
    assert (body["active"], body["staff"]) == (True, False)


@pytest.mark.parametrize("address", [ME, "/api/v1/users/me/purchases"])
def test_nobody_sees_an_account_without_a_token(client, address):
    # When there is no token
    response = client.get(address)
    # Then it is a 401 with a plain challenge
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == 'Bearer realm="user"'


def test_a_new_email_is_stored_and_not_published(as_alice, published):
    # When the address changes
    response = as_alice.patch(ME, {"email": "new@EXAMPLE.com"})
    # Then it is stored, and nobody else hears of it
    assert response.json()["email"] == User.objects.get().email == "new@example.com"
    assert published() == []


def test_a_deactivated_user_is_published_and_refused_at_once(as_alice, alice, published):
    # When alice deactivates her account
    response = as_alice.patch(ME, {"active": False, "current_password": PASSWORD})
    # Then it is published with a higher version
    assert (response.status_code, response.json()["active"]) == (200, False)
    assert published() == [{"user_id": str(alice.pk), "version": 2, "active": False}]
    # And the token that is still valid elsewhere is refused here
    after = as_alice.get(ME)
    assert (after.status_code, after.json()["code"]) == (401, "account_inactive")


def test_nobody_reactivates_an_account_alone(as_alice):
    # When active is set to true
    response = as_alice.patch(ME, {"active": True})
    # Then it is refused
    assert (response.status_code, list(response.json()["errors"])) == (400, ["active"])


def test_a_password_changes_with_the_current_one(as_alice, client):
    # When both are given
    response = as_alice.patch(ME, {"password": "another-horse-9", "current_password": PASSWORD})
    # Then only the new one signs in
    assert response.status_code == 200
    assert client.post("/api/v1/token", {"username": "alice", "password": PASSWORD}).status_code == 401
    assert client.post("/api/v1/token", {"username": "alice", "password": "another-horse-9"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": "another-horse-9"}, "current_password"),
        ({"active": False}, "current_password"),
        ({"active": False, "current_password": "wrong"}, "current_password"),
        ({"password": "another-horse-9", "current_password": "wrong"}, "current_password"),
        ({"password": "alice@example.com", "current_password": PASSWORD}, "password"),
        ({"password": "short", "current_password": PASSWORD}, "password"),
        ({"email": "nowhere"}, "email"),
        ({"active": "perhaps"}, "active"),
    ],
)
def test_a_bad_change_is_refused_by_field_and_changes_nothing(as_alice, alice, published, body, field):
    # When something is not acceptable
    response = as_alice.patch(ME, body)
    # Then the problem names the field and the account is as it was
    assert (response.status_code, list(response.json()["errors"])) == (400, [field])
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert alice.is_active
    assert published() == []


def test_what_is_not_the_users_to_change_stays(as_alice, alice):
    # When a user claims more
    as_alice.patch(ME, {"username": "root", "is_staff": True, "staff": True, "version": 99, "id": "x"})
    # Then nothing changes
    alice.refresh_from_db()
    assert (alice.username, alice.is_staff, alice.version) == ("alice", False, 1)


def test_a_wrong_current_password_is_slowed_down(as_alice, alice):
    # Given 20 wrong guesses with a stolen access token
    body = {"password": "another-horse-9", "current_password": "wrong"}
    assert {as_alice.patch(ME, body).status_code for _ in range(20)} == {400}
    # Then the next is not looked at
    assert as_alice.patch(ME, {**body, "current_password": PASSWORD}).status_code == 429


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "1"])
def test_a_body_that_is_no_object_is_refused(as_alice, body):
    # When the JSON is something else
    response = as_alice.patch(ME, body, content_type="application/json")
    # Then it is a problem, not an error of ours
    assert response.status_code == 400


def test_a_chunked_body_changes_what_it_says(as_alice, alice):
    # When a client streams the body, which has no Content-Length then
    application = read_chunked(get_wsgi_application(), most=1_000_000)
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": "application/json", "wsgi.input_terminated": True}
    request = RequestFactory()._base_environ(PATH_INFO=ME, REQUEST_METHOD="PATCH", **environ, **as_alice._credentials)
    request["wsgi.input"] = io.BytesIO(json.dumps({"active": False, "current_password": PASSWORD}).encode())
    statuses: list[str] = []
    list(application(request, lambda status, _: statuses.append(status)))
    # Then the account is deactivated, as the answer says
    alice.refresh_from_db()
    assert (statuses, alice.is_active) == (["200 OK"], False)


def test_a_change_from_an_old_state_is_a_412_with_what_is_there_now(as_alice):
    # Given two devices that have read the account
    tag = as_alice.get(ME)["ETag"]
    first = as_alice.patch(ME, {"email": "one@example.com"}, headers={"If-Match": tag})
    # When the second changes it too
    second = as_alice.patch(ME, {"email": "two@example.com"}, headers={"If-Match": tag})
    # Then only the first change is made, and the second device sees it
    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 412, "precondition_failed")
    assert (second.json()["current"], second["ETag"]) == (first.json(), first["ETag"])
    assert User.objects.get().email == "one@example.com"
