"""The site as an ASGI application: `uvicorn dashboard.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from dashboard.live.relay import Relay
from dashboard.static import StaticFiles

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

application = StaticFiles(Relay(get_asgi_application()))
