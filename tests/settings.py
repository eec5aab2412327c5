"""Settings of the tests: the product's own, on ground that `tests.environment` prepares."""

from tests import environment as ground

FOLDER = ground.prepare()

from dashboard.settings import *  # noqa: E402, F403
from dashboard.settings import BASE_DIR, DATABASES  # noqa: E402

# A file as in the product: a database in memory knows neither WAL nor two writers.
DATABASES["default"].setdefault("TEST", {})
if not ground.on_postgresql():
    DATABASES["default"]["TEST"]["NAME"] = str(FOLDER / "test.sqlite3")

# Collected once and kept, as a start of the product would.
STATIC_ROOT = BASE_DIR / ".cache" / "static"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes 0.3 s

# No connection of a thread of the site outlasts the test that it answered.
DATABASES["default"]["CONN_MAX_AGE"] = 0
