"""WSGI entry point of the project that DJANGO_SETTINGS_MODULE names."""

import gc
import logging
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from webapi.charset import read_as_utf8
from webapi.chunked import read_chunked
from webapi.database_waits import limit_waits

application = read_chunked(read_as_utf8(get_wsgi_application()), most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
limit_waits(seconds=settings.WEB_DATABASE_SECONDS)
# Probes need no URLs, so without this the first customer would wait until all of them are imported.
_ = get_resolver().url_patterns

# The objects that exist now live as long as the process, so the garbage collector need not check them again.
gc.collect()
gc.freeze()
# A reload ends the old process after this line of the new process (docs/howto/rolling-deployment.md).
logging.getLogger(__name__).info("process %s takes requests", os.getpid())
