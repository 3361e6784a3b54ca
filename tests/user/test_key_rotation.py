"""rotate_signing_key: at no step is there a token that a service with the keys of before cannot verify."""

from __future__ import annotations

import json
from io import StringIO

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from tests.webapi.conftest import Issuer, issuer
from user_app import key_rotation, tokens
from user_app.sessions import start_session
from webapi import jwks

__all__ = ["issuer"]

pytestmark = pytest.mark.django_db(transaction=True)


def run(step: str, path, **options) -> dict[str, str]:
    """Run a step, and return what it wrote, as an env file is read."""
    call_command("rotate_signing_key", step, out=str(path), stdout=StringIO(), **options)
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: json.loads(value) for name, _, value in lines}


@pytest.fixture
def shown(issuer: Issuer, settings):  # noqa: F811
    """The user service as the command sees it over HTTP: what its settings show."""

    def show() -> dict[str, jwt.PyJWK]:
        issuer.answer = (200, json.dumps(tokens.own_jwks()))
        return jwks.signing_keys(tokens.own_jwks())

    show()
    return show


def test_every_token_of_every_step_verifies_with_the_keys_of_the_step_before(tmp_path, settings, shown, alice) -> None:
    known, first = shown(), settings.SIGNING_KEY
    verify(start_session(user=alice).access, known)

    settings.RETIRED_PUBLIC_KEYS = run("publish", tmp_path / "1")["USER_RETIRED_PUBLIC_KEYS"]
    old = start_session(user=alice).refresh
    verify(old, known)
    known = shown()

    values = run("sign", tmp_path / "2", key=str(tmp_path / "1"))
    settings.SIGNING_KEY, settings.RETIRED_PUBLIC_KEYS = values["USER_SIGNING_KEY"], values["USER_RETIRED_PUBLIC_KEYS"]
    assert first != settings.SIGNING_KEY
    verify(start_session(user=alice).access, known)
    known = shown()
    verify(old, known)

    settings.RETIRED_PUBLIC_KEYS = run("retire", tmp_path / "3")["USER_RETIRED_PUBLIC_KEYS"]
    verify(start_session(user=alice).access, known)
    assert len(shown()) == 1


def verify(token: str, keys: dict[str, jwt.PyJWK]) -> None:
    key = keys[jwt.get_unverified_header(token)["kid"]]
    jwt.decode(token, key, algorithms=["EdDSA"], audience="user")


def test_a_key_that_is_not_shown_yet_does_not_sign(tmp_path, shown) -> None:
    run("publish", tmp_path / "1")

    with pytest.raises(CommandError, match="does not show this key yet") as refused:
        run("sign", tmp_path / "2", key=str(tmp_path / "1"))
    assert refused.value.returncode == 8
    assert not (tmp_path / "2").exists()


def test_without_the_user_service_nobody_knows_what_is_shown(tmp_path, settings, shown) -> None:
    run("publish", tmp_path / "1")
    settings.JWKS_URL = "http://127.0.0.1:1/jwks.json"

    with pytest.raises(CommandError, match="Start the user service"):
        run("sign", tmp_path / "2", key=str(tmp_path / "1"))


def test_a_file_is_for_its_owner_alone_and_is_never_overwritten(tmp_path, shown) -> None:
    run("publish", tmp_path / "1")
    assert (tmp_path / "1").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "1").read_text()

    with pytest.raises(CommandError, match="Name a new file"):
        run("publish", tmp_path / "1")
    assert (tmp_path / "1").read_text() == before


@pytest.mark.parametrize("options", [{}, {"key": "/nowhere"}, {"key": __file__}])
def test_a_file_that_holds_no_key_is_refused_by_name(tmp_path, shown, options) -> None:
    with pytest.raises(CommandError, match=r"that `publish` wrote|cannot be read"):
        run("sign", tmp_path / "2", **options)


def test_nothing_is_retired_where_nothing_is_shown_besides(tmp_path, shown) -> None:
    with pytest.raises(CommandError, match="No key is shown besides"):
        run("retire", tmp_path / "1")


def test_the_key_that_signs_is_not_signed_with_again(settings) -> None:
    with pytest.raises(key_rotation.RotationRefused, match="signs already"):
        key_rotation.sign(signing=settings.SIGNING_KEY, retired="", new=settings.SIGNING_KEY, published=set())


def test_a_second_rotation_keeps_what_is_still_shown(settings) -> None:
    other = key_rotation.private_pem(Ed25519PrivateKey.generate())
    first = key_rotation.publish(signing=settings.SIGNING_KEY, retired="")
    second = key_rotation.publish(signing=settings.SIGNING_KEY, retired=first.retired)
    assert len(tokens.shown_only(second.retired)) == 2

    signed = key_rotation.sign(
        signing=settings.SIGNING_KEY, retired=second.retired, new=other, published={tokens.signing_key(other).kid}
    )
    assert len(tokens.shown_only(signed.retired)) == 3
