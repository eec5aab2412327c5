"""Settings of Runsheet. Every one that people set comes from the environment; README lists them."""

import sys
from pathlib import Path
from urllib.parse import quote, urlsplit

import dj_database_url
from django.utils.csp import CSP

from dashboard import environment, identity_providers, logs, mail_server
from runs.casedev import places
from runs.secret import Secret

BASE_DIR = Path(__file__).resolve().parent.parent

VERSION = "0.1.0"  # as in pyproject.toml
DATA_DIR = environment.folder("RUNSHEET_DATA_DIR", BASE_DIR / "var")
PORT = environment.number("PORT", 8000, 1, 65535)
DEBUG = environment.flag("DEBUG", False)
DATABASE_URL = environment.database_url("DATABASE_URL")
# One machine, everything started by `make run`; also true for commands typed beside it.
EMBEDDED = environment.flag("RUNSHEET_EMBEDDED", not DATABASE_URL)

# Case.dev ------------------------------------------------------------------------------------

CASEDEV_OWN_URL = "https://api.case.dev"
CASEDEV_API_KEY = environment.text("CASEDEV_API_KEY")
CASEDEV_BASE_URL = environment.url("CASEDEV_BASE_URL", "", {"http", "https"})
# `make run` without a key and without an address starts the simulator.
CASEDEV_IS_SIMULATED = EMBEDDED and not CASEDEV_API_KEY and not CASEDEV_BASE_URL
SIMULATOR_URL_FILE = DATA_DIR / "simulator.url"

on_this_machine = EMBEDDED and environment.is_loopback(CASEDEV_BASE_URL)
if CASEDEV_BASE_URL and (why := places.refusal(CASEDEV_BASE_URL, may_be_this_machine=EMBEDDED)):
    environment.refuse(f"CASEDEV_BASE_URL {why}")
# A key that was used with one host is sent to another only after this names it.
CASEDEV_CONFIRM_HOST = environment.text("CASEDEV_CONFIRM_HOST")
if CASEDEV_API_KEY and not CASEDEV_API_KEY.startswith("sk_case_") and not on_this_machine:
    environment.refuse("CASEDEV_API_KEY must start with sk_case_.")
if any(not "!" <= character <= "~" for character in CASEDEV_API_KEY):
    environment.refuse("CASEDEV_API_KEY holds a blank or a character that no key has.")
if CASEDEV_IS_SIMULATED:
    # While no simulator runs, a command typed by hand finds nobody, and not the real API.
    CASEDEV_BASE_URL = environment.noted(SIMULATOR_URL_FILE, "http://127.0.0.1:1")
    CASEDEV_API_KEY = "sk_case_for_the_simulator"
CASEDEV_BASE_URL = CASEDEV_BASE_URL or CASEDEV_OWN_URL
CASEDEV_API_KEY = Secret(CASEDEV_API_KEY)

# Database, Redis -----------------------------------------------------------------------------

if DATABASE_URL:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_health_checks=True)}
else:
    # Simulated runs never mix with real ones: each kind has its own file.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(
                DATA_DIR / ("demo.sqlite3" if CASEDEV_IS_SIMULATED else "runsheet.sqlite3")
            ),
            "OPTIONS": {
                "timeout": 20,
                # A deferred transaction that turns writer meets "database is locked" at once.
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
            },
        }
    }
# A connection for each request, or each tick of each second, would cost more than what it asks.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# What allauth counts (wrong passwords) and remembers (used codes) must be the same for every web
# process, and must not be lost or forgotten with Redis. `manage.py prepare` makes the table.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
}

REDIS_URL = environment.redis_url("REDIS_URL")
VALKEY_IS_OURS = not REDIS_URL
VALKEY_URL_FILE = DATA_DIR / "valkey.url"
if VALKEY_IS_OURS:
    REDIS_URL = environment.noted(VALKEY_URL_FILE, f"unix://{quote(str(DATA_DIR))}/valkey.sock")

# Site ----------------------------------------------------------------------------------------

SECRET_KEY = environment.text("SECRET_KEY")
if not SECRET_KEY:
    if not EMBEDDED:
        environment.refuse("SECRET_KEY must be set when DATABASE_URL is (50 random characters).")
    SECRET_KEY = environment.kept_secret(DATA_DIR / "secret_key")
# Who asks for /metrics from elsewhere than this machine has to know it.
METRICS_TOKEN = environment.text("METRICS_TOKEN")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    environment.refuse("METRICS_TOKEN is too short; take 32 random characters.")
METRICS_TOKEN = Secret(METRICS_TOKEN)
# Where people may have webhooks; empty: at any public host.
WEBHOOK_HOSTS = environment.hosts("WEBHOOK_HOSTS")
# Notices by e-mail; without, there are those by webhook.
MAILERS = mail_server.mailers()
DEFAULT_FROM_EMAIL = mail_server.sender(MAILERS) or "runsheet@localhost"
logs.install(
    [CASEDEV_API_KEY.reveal(), SECRET_KEY, METRICS_TOKEN.reveal(), *mail_server.secrets(MAILERS)]
    + [urlsplit(url).password or "" for url in (DATABASE_URL, REDIS_URL)]
)
DATABASE_URL = Secret(DATABASE_URL)
DEFAULT_EXCEPTION_REPORTER_FILTER = "dashboard.reports.Discreet"
if len(SECRET_KEY) < 32 and not EMBEDDED:
    environment.refuse("SECRET_KEY is too short; take 50 random characters.")

PUBLIC_URL = environment.origin("PUBLIC_URL")
ALLOWED_HOSTS = [*environment.hosts("ALLOWED_HOSTS"), "127.0.0.1", "localhost", "[::1]"]
if PUBLIC_URL:
    ALLOWED_HOSTS.append(environment.host(PUBLIC_URL))
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
MFA_FOR_EVERYONE = environment.text("REQUIRE_MFA").lower() == "everyone"
REQUIRE_MFA = MFA_FOR_EVERYONE or environment.flag("REQUIRE_MFA", not EMBEDDED)

INSTALLED_APPS = [
    "runs",
    "dashboard",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "django_htmx",
    "dashboard.apps.SiteAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "dashboard.middleware.shared_headers",
    "dashboard.audit.looks.recorded",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dashboard.middleware.Gate",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.context.site",
            ],
        },
    },
]

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "dashboard.static.Storage",
    },
}
WHITENOISE_ALLOW_ALL_ORIGINS = False

LANGUAGE_CODE = "en-us"
USE_I18N = False  # one language; to look for another took a tenth of a run's page
TIME_ZONE = "UTC"
USE_TZ = True

# Accounts ------------------------------------------------------------------------------------

SERVED_OVER_TLS = PUBLIC_URL.startswith("https:")
# Proxies before the site that add to X-Forwarded-For; what speaks TLS for us is one.
ALLAUTH_TRUSTED_PROXY_COUNT = environment.number("TRUSTED_PROXIES", int(SERVED_OVER_TLS), 0, 9)

AUTHENTICATION_BACKENDS = ["dashboard.accounts.backend.Backend"]
ACCOUNT_ADAPTER = "dashboard.accounts.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300  # seconds in which a sensitive act needs no new proof
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    # 20,000 from breaches. No rule asks for or forbids a kind of character.
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "dashboard.accounts.passwords.ContextWordsValidator"},
]

MFA_ADAPTER = "dashboard.accounts.adapters.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Nobody proves an address here (no mail is sent), so none can be waited for.
MFA_ALLOW_UNVERIFIED_EMAIL = True

SOCIALACCOUNT_ADAPTER = "dashboard.accounts.adapters.ServiceAdapter"
SOCIALACCOUNT_EMAIL_REQUIRED = False
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "APPS": identity_providers.apps(may_be_plain=EMBEDDED),
        "provider_class": "dashboard.accounts.issuers.Issuer",
    }
}
OIDC_DOMAINS = identity_providers.domains()
OIDC_DEFAULT_ROLE = identity_providers.default_role()

SESSION_ENGINE = "dashboard.accounts.store"
SESSION_COOKIE_AGE = 3600 * environment.number("SESSION_IDLE_HOURS", 12, 1, 24 * 30)
SESSION_LONGEST_SECONDS = 86400 * environment.number("SESSION_LONGEST_DAYS", 7, 1, 90)

# Browsers ------------------------------------------------------------------------------------

SESSION_COOKIE_NAME = "__Host-session" if SERVED_OVER_TLS else "runsheet-session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SERVED_OVER_TLS
CSRF_COOKIE_NAME = "__Host-csrf" if SERVED_OVER_TLS else "runsheet-csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = SERVED_OVER_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SERVED_OVER_TLS else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if SERVED_OVER_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SERVED_OVER_TLS
# To be in browsers' own lists is for the owner of the whole domain to ask; without a mail server
# none is used.
SILENCED_SYSTEM_CHECKS = ["security.W021", "mail.W001"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    # No text becomes a script: static/js/trust.js holds the one policy that there is.
    "require-trusted-types-for": ["'script'"],
    "trusted-types": ["default"],
    # Without `report-to`, for which Chromium drops this one: it sends nothing over plain http, and
    # else a minute later.
    "report-uri": ["/csp-reports/"],
}

# Work ----------------------------------------------------------------------------------------

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A connection that fell silent without a word is given up, not waited for.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "runsheet"
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 8
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Tasks, before Celery closes their connections to the database: never (`dashboard.celery`).
CELERY_DB_REUSE_MAX = sys.maxsize
CELERY_BEAT_SCHEDULER = "dashboard.beat:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
# A tick that nobody took within its second is worthless: the next one says the same.
CELERY_BEAT_SCHEDULE = {
    "poll-due-runs": {"task": "runs.poll_due", "schedule": 1.0, "options": {"expires": 5}},
    "discover-runs": {"task": "runs.discover", "schedule": 5.0, "options": {"expires": 5}},
    "notice-changes": {
        "task": "dashboard.notice_changes",
        "schedule": 5.0,
        "options": {"expires": 5},
    },
}
if PUBLIC_URL:
    CELERY_BEAT_SCHEDULE["register-callbacks"] = {
        "task": "runs.register_callbacks",
        "schedule": 5.0,
        "options": {"expires": 5},
    }

# Logs ----------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"}},
    "filters": {
        # A 503 is an answer that we mean (/readyz), not an accident.
        "no_503": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) != 503,
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # httpx logs whole URLs at INFO, and celery logs each task received and succeeded.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "django.request": {"level": "ERROR", "filters": ["no_503"]},
    },
}
