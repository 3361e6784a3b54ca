"""Bodies of the user service's API. No response contains a password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from user_app.models import Purchase, Session, User
from webapi.serializers import StrictSerializer

USERNAME_LENGTH = 150  # the length of the column


def password_field(**options: Any) -> serializers.CharField:
    """Return a field for a password. It keeps every character, and has a limit because hashing a long one is slow."""
    return serializers.CharField(write_only=True, trim_whitespace=False, max_length=256, **options)


def check_password_rules(field: str, password: str, user: User) -> None:
    """Raise a validation error of `field` if the password is too weak for `user` (AUTH_PASSWORD_VALIDATORS)."""
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from error


class UsernameField(serializers.CharField):
    """A username in its normalised form, as stored. That may be longer than the input or have other characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=USERNAME_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the normalised name. The validators run after this."""
        value = super().to_internal_value(data)
        # Already too long: max_length refuses it without the work of normalising it.
        return value if len(value) > USERNAME_LENGTH else User.normalize_username(value)


class EmailField(serializers.EmailField):
    """An email address in its normalised form, as stored. In lower case its domain may be longer than the input."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the normalised address. The validators run after this."""
        return User.objects.normalize_email(super().to_internal_value(data))


class RegistrationSerializer(StrictSerializer):
    """POST /users."""

    username = UsernameField(validators=[UnicodeUsernameValidator()])
    email = EmailField()
    password = password_field()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Validate the password, also against the user's own name and email address."""
        user = User(username=attrs["username"], email=attrs["email"])
        check_password_rules("password", attrs["password"], user)
        return attrs


class UserSerializer(serializers.ModelSerializer[User]):
    """The caller's own account."""

    active = serializers.BooleanField(source="is_active", read_only=True)
    staff = serializers.BooleanField(source="is_staff", read_only=True)
    created_at = serializers.DateTimeField(source="date_joined", read_only=True)

    class Meta:
        model = User
        fields = ["id", "username", "email", "active", "staff", "created_at"]
        read_only_fields = fields


class ProfileSerializer(StrictSerializer):
    """PATCH /users/me: any of these fields. The serializer's instance is the user."""

    email = EmailField(required=False)
    password = password_field(required=False)
    current_password = password_field(required=False, help_text="Required with a new password, and to deactivate.")
    active = serializers.BooleanField(required=False, help_text="Only false is accepted; it deactivates the account.")

    def validate_active(self, value: bool) -> bool:
        """Accept only false: users cannot reactivate themselves."""
        if not value:
            return value
        raise serializers.ValidationError("You can only deactivate the account; ask staff to reactivate it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Require the current password with a new one and with a deactivation, and validate the new one."""
        if {"password", "active"} & attrs.keys() and "current_password" not in attrs:
            raise serializers.ValidationError(
                {"current_password": ["Required with a new password, and to deactivate."]}
            )
        if "password" in attrs:
            assert self.instance is not None
            check_password_rules("password", attrs["password"], self.instance)
        return attrs


class SignInSerializer(StrictSerializer):
    """POST /token."""

    username = UsernameField()
    password = password_field()


class TokensSerializer(serializers.Serializer[Any]):
    """A pair of tokens. `expires_in` is the access token's lifetime in seconds. A refresh token is used once."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField()


class RefreshSerializer(StrictSerializer):
    """POST /token/refresh, POST /token/revoke."""

    refresh = serializers.CharField(max_length=4096)


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A sign-in that has not ended. `current`: the one of this request's token."""

    current = serializers.SerializerMethodField()

    class Meta:
        model = Session
        fields = ["id", "device", "created_at", "refreshed_at", "expires_at", "current"]
        read_only_fields = fields

    def get_current(self, session: Session) -> bool:
        """Return whether the request was made in this session."""
        return bool(session.pk == self.context["current"])


class PurchaseSerializer(serializers.ModelSerializer[Purchase]):
    """A confirmed order. `total` is before the discount."""

    # As stored and as published: with the digits of the currency.
    total = serializers.DecimalField(max_digits=None, decimal_places=None)
    discount = serializers.DecimalField(max_digits=None, decimal_places=None)

    class Meta:
        model = Purchase
        fields = ["order_id", "total", "discount", "currency", "confirmed_at"]
        read_only_fields = fields


class PurchaseHistorySerializer(serializers.Serializer[Any]):
    """GET /users/me/purchases, for the schema: totals of the whole history, and one page of it."""

    orders = serializers.IntegerField(help_text="Confirmed orders on all pages.")
    spent = serializers.DictField(child=serializers.CharField(), help_text='By currency: {"KRW": "12000"}.')
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PurchaseSerializer(many=True)
