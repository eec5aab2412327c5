"""The site as an ASGI application: `uvicorn dashboard.asgi:application`."""

import gc
import os
from importlib import import_module

import django
from django.conf import settings

from dashboard.handler import Handler
from dashboard.live.relay import Relay
from dashboard.static import StaticFiles
from dashboard.unread import Unread

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")

django.setup(set_prefix=False)
application = StaticFiles(Relay(Unread(Handler())))
import_module(settings.ROOT_URLCONF)

# What there is by now stays: looking through it for garbage again and again stops a process that
# carries a thousand streams for 200 ms. What comes later is looked through by the hub, at a better
# moment than Python would choose; here it is put off.
gc.collect()
gc.freeze()
gc.set_threshold(*gc.get_threshold()[:2], 100)
