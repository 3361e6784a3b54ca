"""WSGI entry point of whichever project DJANGO_SETTINGS_MODULE names."""

import gc
import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from webapi.charset import read_as_utf8
from webapi.database_waits import limit_waits

application = read_as_utf8(get_wsgi_application())
limit_waits(seconds=settings.WEB_DATABASE_SECONDS)

# What is loaded by now lives as long as the process: the garbage collector need not walk it at every request.
gc.collect()
gc.freeze()
# A reload ends the old process when it has seen this line of the new one (docs/howto/rolling-deployment.md).
logging.getLogger(__name__).info("process %s takes requests", os.getpid())
