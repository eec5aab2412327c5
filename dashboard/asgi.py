"""The site as an ASGI application: `uvicorn dashboard.asgi:application`."""

import os
from importlib import import_module

import django
from django.conf import settings

from dashboard import garbage
from dashboard.handler import Handler
from dashboard.live.relay import Relay
from dashboard.static import StaticFiles
from dashboard.unread import Unread

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

django.setup(set_prefix=False)
application = StaticFiles(Relay(Unread(Handler())))
import_module(settings.ROOT_URLCONF)

garbage.begin()
