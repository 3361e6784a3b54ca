"""Bodies of the user service's API. A password is only ever read, never shown."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers

from user_app.models import Purchase, User
from webapi.serializers import StrictSerializer

USERNAME_LENGTH = 150  # what the column holds


def password_field(**options: Any) -> serializers.CharField:
    """Return a field for a password, whose every character counts; bounded, since hashing a long one is work."""
    return serializers.CharField(write_only=True, trim_whitespace=False, max_length=256, **options)


def check_password_rules(field: str, password: str, user: User) -> None:
    """Raise a validation error of `field` when the password is too weak for `user` (AUTH_PASSWORD_VALIDATORS)."""
    try:
        validate_password(password, user)
    except DjangoValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from error


class UsernameField(serializers.CharField):
    """A username in the one form in which it is stored, which may be longer or hold other characters than was sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=USERNAME_LENGTH, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the normalised name; the validators run after this."""
        value = super().to_internal_value(data)
        # Too long as it is: to normalise it would be work for nothing, and only max_length need see it.
        return value if len(value) > USERNAME_LENGTH else User.normalize_username(value)


class EmailField(serializers.EmailField):
    """An address in the one form in which it is stored: a domain in small letters may be longer than was sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, **options)

    def to_internal_value(self, data: Any) -> str:
        """Return the normalised address; the validators run after this."""
        return User.objects.normalize_email(super().to_internal_value(data))


class RegistrationSerializer(StrictSerializer):
    """POST /users."""

    username = UsernameField(validators=[UnicodeUsernameValidator()])
    email = EmailField()
    password = password_field()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Hold the password against the rules, the user's own name and address among them."""
        user = User(username=attrs["username"], email=attrs["email"])
        check_password_rules("password", attrs["password"], user)
        return attrs


class UserSerializer(serializers.ModelSerializer[User]):
    """A user as it sees itself."""

    active = serializers.BooleanField(source="is_active", read_only=True)
    staff = serializers.BooleanField(source="is_staff", read_only=True)
    created_at = serializers.DateTimeField(source="date_joined", read_only=True)

    class Meta:
        model = User
        fields = ["id", "username", "email", "active", "staff", "created_at"]
        read_only_fields = fields


class ProfileSerializer(StrictSerializer):
    """PATCH /users/me: any of these. The serializer's instance is the user whose profile it is."""

    email = EmailField(required=False)
    password = password_field(required=False)
    current_password = password_field(required=False, help_text="Required with a new password.")
    active = serializers.BooleanField(required=False, help_text="Only false: deactivates the account.")

    def validate_active(self, value: bool) -> bool:
        """Accept only the one direction that a user can go alone."""
        if not value:
            return value
        raise serializers.ValidationError("An account can only be deactivated here; staff can reactivate it.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for the old password beside a new one, and hold the new one against the rules."""
        if "password" in attrs:
            if "current_password" not in attrs:
                raise serializers.ValidationError({"current_password": ["Required with a new password."]})
            assert self.instance is not None
            check_password_rules("password", attrs["password"], self.instance)
        return attrs


class SignInSerializer(StrictSerializer):
    """POST /token."""

    username = UsernameField()
    password = password_field()


class TokensSerializer(serializers.Serializer[Any]):
    """A pair of tokens; `expires_in` is the access token's life in seconds."""

    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField()


class RefreshSerializer(StrictSerializer):
    """POST /token/refresh."""

    refresh = serializers.CharField(max_length=4096)


class AccessSerializer(serializers.Serializer[Any]):
    """A new access token and its life in seconds."""

    access = serializers.CharField()
    expires_in = serializers.IntegerField()


class PurchaseSerializer(serializers.ModelSerializer[Purchase]):
    """An order that counts. `total` is before the discount."""

    # As stored, which is as published: the digits of the currency.
    total = serializers.DecimalField(max_digits=None, decimal_places=None)
    discount = serializers.DecimalField(max_digits=None, decimal_places=None)

    class Meta:
        model = Purchase
        fields = ["order_id", "total", "discount", "currency", "confirmed_at"]
        read_only_fields = fields


class PurchaseHistorySerializer(serializers.Serializer[Any]):
    """GET /users/me/purchases, for the schema: the whole history in two figures, and one page of it."""

    orders = serializers.IntegerField(help_text="Confirmed orders, all pages together.")
    spent = serializers.DictField(child=serializers.CharField(), help_text='By currency: {"KRW": "12000"}.')
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = PurchaseSerializer(many=True)
