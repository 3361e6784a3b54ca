"""The settings that the four projects share. Each project's module adds only its own app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.env import read, refuse_unknown
from config.topology import TOPICS, Service

ROOT = Path(__file__).resolve().parent.parent.parent


def service_settings(service: Service) -> dict[str, Any]:
    """Return the Django settings of `service`, read only from its own environment variables.

    ImproperlyConfigured, with the variable's name, if one is missing or invalid.
    """
    refuse_unknown()
    debug = read("DEBUG")
    return {
        "SERVICE_NAME": service.name,
        "SECRET_KEY": read("{SERVICE}_SECRET_KEY", service.name),
        "DEBUG": debug,
        "ALLOWED_HOSTS": read("{SERVICE}_ALLOWED_HOSTS", service.name),
        "ROOT_URLCONF": f"config.urls.{service.name}",
        "WSGI_APPLICATION": "config.wsgi.application",
        "INSTALLED_APPS": _installed_apps(service),
        "MIDDLEWARE": _MIDDLEWARE,
        "TEMPLATES": _TEMPLATES,
        "DATABASES": {"default": _database(service)},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "LANGUAGE_CODE": "en",
        "LANGUAGES": [("en", "English"), ("ko", "한국어")],
        "TIME_ZONE": "UTC",
        "USE_TZ": True,
        "USE_I18N": True,
        "STATIC_URL": "static/",
        "STATIC_ROOT": ROOT / "staticfiles" / service.name,
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": debug,
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 1_000_000,
        "SESSION_COOKIE_NAME": f"{service.name}_session",
        "CSRF_COOKIE_NAME": f"{service.name}_csrf",
        "SESSION_COOKIE_HTTPONLY": True,
        "X_FRAME_OPTIONS": "DENY",
        "AUTH_PASSWORD_VALIDATORS": _PASSWORD_VALIDATORS,
        "REST_FRAMEWORK": {**_REST_FRAMEWORK, "NUM_PROXIES": read("NUM_PROXIES")},
        "RATE_LIMIT_URL": read("RATE_LIMIT_URL") or read("CELERY_BROKER_URL"),
        "ANONYMOUS_READS_PER_MINUTE": read("ANONYMOUS_READS_PER_MINUTE"),
        "REGISTRATIONS_PER_MINUTE": read("REGISTRATIONS_PER_MINUTE"),
        "SPECTACULAR_SETTINGS": _spectacular(service),
        "LOGGING": _LOGGING,
        "IDEMPOTENCY_RETENTION_HOURS": read("IDEMPOTENCY_RETENTION_HOURS"),
        "WEB_DATABASE_SECONDS": read("WEB_DATABASE_SECONDS"),
        "READY_NOTES": {"workers": "messaging.worker.live_workers.workers"},
        "JWKS_URL": read("USER_URL").rstrip("/") + "/.well-known/jwks.json",
        "JWKS_KEYS": read("USER_JWKS"),
        "MESSAGING": _messaging(service),
        "CELERY": _celery(service),
        **behind_tls(read("{SERVICE}_PUBLIC_URL", service.name)),
    }


def behind_tls(public_url: str) -> dict[str, Any]:
    """Return the settings for a service behind a TLS proxy (https:// address); empty for another address."""
    if not public_url.startswith("https://"):
        return {}
    return {
        "CSRF_TRUSTED_ORIGINS": [public_url.rstrip("/")],
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
        "SESSION_COOKIE_SECURE": True,
        "CSRF_COOKIE_SECURE": True,
        "SECURE_HSTS_SECONDS": 30 * 24 * 60 * 60,
    }


def _installed_apps(service: Service) -> list[str]:
    return [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "whitenoise.runserver_nostatic",
        "django.contrib.staticfiles",
        "rest_framework",
        "django_filters",
        "drf_spectacular",
        "drf_spectacular_sidecar",
        "messaging",
        service.app,
    ]


def _database(service: Service) -> dict[str, Any]:
    database: dict[str, Any] = dict(read("{SERVICE}_DATABASE_URL", service.name))
    database["CONN_MAX_AGE"] = 60
    database["CONN_HEALTH_CHECKS"] = True
    own = {"connect_timeout": 3, "application_name": f"{service.name}:app", **_KEEPALIVE}
    database["OPTIONS"] = own | database.get("OPTIONS", {})
    # A server-side cursor lives in one session, and a pooler gives each transaction another one.
    database["DISABLE_SERVER_SIDE_CURSORS"] = bool(_direct_database(service))
    return database


def _direct_database(service: Service) -> dict[str, Any]:
    """Return the database without its pooler, {} when it has none."""
    database: dict[str, Any] = dict(read("{SERVICE}_DATABASE_DIRECT_URL", service.name) or {})
    if database:
        database["OPTIONS"] = {"connect_timeout": 3, **_KEEPALIVE} | database.get("OPTIONS", {})
    return database


#: Detects a dead network within seconds instead of after the kernel's two hours.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000}


def _messaging(service: Service) -> dict[str, Any]:
    return {
        "SERVICE": service.name,
        "BOOTSTRAP_SERVERS": read("KAFKA_BOOTSTRAP_SERVERS"),
        "TOPICS": {topic.name: {"compacted": topic.compacted} for topic in service.topics},
        "COMPACTED_TOPICS": [topic.name for topic in TOPICS.values() if topic.compacted],
        "GROUPS": {group.name: list(group.topics) for group in service.groups},
        "DIRECT_DATABASE": _direct_database(service),
        "PARTITIONS": read("KAFKA_PARTITIONS"),
        "REPLICATION_FACTOR": read("KAFKA_REPLICATION_FACTOR"),
        "SHARDS": read("OUTBOX_SHARDS"),
        "INBOX_RETENTION_DAYS": read("INBOX_RETENTION_DAYS"),
        "MAX_POLL_RECORDS": read("CONSUMER_MAX_POLL_RECORDS"),
        "SESSION_TIMEOUT_MS": read("CONSUMER_SESSION_TIMEOUT_MS"),
        "RETRY_IMMEDIATE": read("RETRY_IMMEDIATE"),
        "RETRY_DELAYED": read("RETRY_DELAYED"),
        "RETRY_PAUSE_SECONDS": read("RETRY_PAUSE_SECONDS"),
        "RETRY_PAUSE_CAP_SECONDS": read("RETRY_PAUSE_CAP_SECONDS"),
        "LIVENESS_FILE": read("LIVENESS_FILE"),
        "UNORDERED_TOPICS": ["coupon.claims"],
    }


def _celery(service: Service) -> dict[str, Any]:
    return {
        "broker_url": read("CELERY_BROKER_URL"),
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "global_keyprefix": f"{service.name}:",
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
        },
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": service.name,
        "timezone": "UTC",
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
    }


def _spectacular(service: Service) -> dict[str, Any]:
    return {
        "TITLE": f"{service.name} service",
        "VERSION": "1",
        "SERVE_INCLUDE_SCHEMA": False,
        "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
        "SCHEMA_PATH_PREFIX": "/api/v1",
        "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "webapi.schema.add_problems",
        ],
        "SWAGGER_UI_DIST": "SIDECAR",
        "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    }


_MIDDLEWARE = [
    "webapi.health.answer_probes",
    "webapi.nul.refuse_nul",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

_TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

_REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["webapi.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["webapi.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "webapi.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": ["webapi.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "webapi.problems.handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # Timers run every second and would fill the log with their starts and ends. Their errors are still logged.
    "loggers": {
        name: {"level": "WARNING"} for name in ("kafka", "celery.beat", "celery.worker.strategy", "celery.app.trace")
    },
}
