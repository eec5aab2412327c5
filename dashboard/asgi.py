"""The site as an ASGI application: `uvicorn dashboard.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from dashboard.live.relay import Relay
from dashboard.static import StaticFiles
from dashboard.unread import Unread

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

application = StaticFiles(Relay(Unread(get_asgi_application())))
