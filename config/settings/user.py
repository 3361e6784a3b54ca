"""Settings of the user service's project, the only one with the key that signs tokens."""

from config.env import read
from config.settings.base import service_settings
from config.topology import SERVICES, USER

globals().update(service_settings(USER))

AUTH_USER_MODEL = "user_app.User"
SIGNING_KEY: str = read("USER_SIGNING_KEY")
RETIRED_PUBLIC_KEYS: str = read("USER_RETIRED_PUBLIC_KEYS")
#: Every service accepts the access tokens. Each checks that the token names it.
TOKEN_AUDIENCES = list(SERVICES)
JWKS_LOADER = "user_app.tokens.own_jwks"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
