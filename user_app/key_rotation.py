"""The steps of replacing the key that signs tokens. Each gives the values of the user service's two key variables.

publish: a new key is shown beside the signing one. sign: the new key signs, the old one is still shown. retire: only
the signing key is shown. A verifier that has a key set of before a step can verify every token signed after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from user_app import tokens


class RotationRefused(Exception):
    """The step would sign tokens that nobody can verify yet, or nothing is there to do."""


@dataclass(frozen=True)
class KeyValues:
    """PEM texts: USER_SIGNING_KEY (None: unchanged) and USER_RETIRED_PUBLIC_KEYS. `new_key`: to keep for `sign`."""

    retired: str
    signing: str | None = None
    new_key: str | None = None


def publish(*, signing: str, retired: str) -> KeyValues:
    """Return the values that show a new key beside the present ones."""
    new = Ed25519PrivateKey.generate()
    return KeyValues(retired=_join([*tokens.shown_only(retired), new.public_key()]), new_key=private_pem(new))


def sign(*, signing: str, retired: str, new: str, published: set[str]) -> KeyValues:
    """Return the values with which `new` signs. RotationRefused if `published` (key ids) lacks it."""
    key, old = tokens.signing_key(new), tokens.signing_key(signing)
    if key.kid == old.kid:
        raise RotationRefused("This key signs already.")
    if key.kid not in published:
        raise RotationRefused("The user service does not show this key yet. Set what `publish` wrote; restart it.")
    others = [each for each in tokens.shown_only(retired) if tokens.key_id(each) not in (key.kid, old.kid)]
    return KeyValues(retired=_join([*others, old.private.public_key()]), signing=new)


def retire(*, retired: str) -> KeyValues:
    """Return the values that show the signing key alone. RotationRefused if that is so already."""
    if not tokens.shown_only(retired):
        raise RotationRefused("No key is shown besides the signing one.")
    return KeyValues(retired="")


def private_pem(key: Ed25519PrivateKey) -> str:
    """Return the key as the environment has it (PKCS 8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _join(keys: list[Ed25519PublicKey]) -> str:
    return "".join(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in keys)
