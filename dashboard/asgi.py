"""The site as an ASGI application: `uvicorn dashboard.asgi:application`."""

import os

import django

from dashboard.handler import Handler
from dashboard.live.relay import Relay
from dashboard.static import StaticFiles
from dashboard.unread import Unread

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

django.setup(set_prefix=False)
application = StaticFiles(Relay(Unread(Handler())))
